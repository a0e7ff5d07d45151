# SPDX-License-Identifier: MIT
# Tests of models, sessions and what the tools compute.

MODEL_TESTS := test_safetensors test_model test_model_hostile test_fusion test_convert \
	test_attention test_packed test_reader test_session test_stream test_spearman
MODEL_OBJS := $(patsubst %,$(BUILD)/obj/tests/unit/%.o,$(MODEL_TESTS) model_fixture)

UNIT_TESTS += $(MODEL_TESTS:%=$(BUILD)/tests/unit/%)
THREAD_TESTS += $(addprefix $(BUILD)/tests/unit/,test_session test_stream)

$(MODEL_OBJS): $(BUILD)/obj/%.o: %.c tests/unit/model.mk
	@mkdir -p $(@D)
	$(CC) $(RT_CFLAGS) -Itests/unit -Itests/reference $(CFLAGS) -MMD -MP -c -o $@ $<

$(MODEL_TESTS:%=$(BUILD)/tests/unit/%): $(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o \
		$(BUILD)/obj/tests/unit/model_fixture.o $(LIBDAMF_A)
	@mkdir -p $(@D)
	$(CC) -o $@ $(RT_LDFLAGS) $(LDFLAGS) $^ $(RT_LIBS) $(MODEL_TEST_LIBS) -lcmocka

# The judges: LAPACK for singular values, the float64 reference for layers.
$(BUILD)/tests/unit/test_fusion: MODEL_TEST_LIBS := -llapack -lblas
$(BUILD)/tests/unit/test_session: MODEL_TEST_LIBS := -llapack -lblas
$(BUILD)/tests/unit/test_session: $(BUILD)/tests/libreference.a
$(BUILD)/tests/unit/test_spearman: $(BUILD)/obj/runtime/tools/spearman.o

-include $(MODEL_OBJS:.o=.d)
