# SPDX-License-Identifier: MIT
# libdamf (static, shared, pkg-config file) and the damf command.
#
# A source dropped in runtime/lib, runtime/lib/*/, runtime/tokenizer or
# runtime/tools is built; nothing has to be listed here.
#
# make SAN=address,undefined (or SAN=thread) builds everything once more,
# with those sanitizers, below $(BUILD)/san-*.

comma := ,
ifneq ($(SAN),)
override BUILD := $(BUILD)/san-$(subst $(comma),-,$(SAN))
SAN_FLAGS := -fsanitize=$(SAN) -fno-omit-frame-pointer
ifneq ($(filter undefined,$(subst $(comma), ,$(SAN))),)
SAN_FLAGS += -fno-sanitize-recover=undefined
endif
endif

PKG_CONFIG ?= pkg-config
PREFIX ?= /usr/local
DESTDIR ?=

DAMF_VERSION := $(shell sed -n 's/^.define DAMF_VERSION_STRING "\(.*\)"/\1/p' runtime/include/damf.h)
DAMF_ABI := 0

# What every C file of the runtime, the core and the kernels is compiled with.
DAMF_WARN := -Wall -Wextra -Werror
DAMF_INCLUDES := -Iruntime/include -Iruntime/lib -Iruntime/tokenizer -Iruntime/kernels \
	-Iuapi -Iqemu-device/core
DAMF_CFLAGS := -std=c11 -D_GNU_SOURCE -O2 -g $(DAMF_WARN) -fPIC -fvisibility=hidden \
	-ffp-contract=off $(SAN_FLAGS) $(DAMF_INCLUDES)

RT_PKGS := libdrm liburing jansson
RT_CFLAGS = $(DAMF_CFLAGS) $(shell $(PKG_CONFIG) --cflags $(RT_PKGS))
RT_LIBS = $(shell $(PKG_CONFIG) --libs $(RT_PKGS)) -lm -lpthread
RT_LDFLAGS := $(SAN_FLAGS)

-include runtime/kernels/build.mk
-include runtime/tokenizer/build.mk

RT_LIB_SRCS := $(sort $(wildcard runtime/lib/*.c runtime/lib/*/*.c runtime/tokenizer/*.c))
RT_TOOL_SRCS := $(sort $(wildcard runtime/tools/*.c))
RT_LIB_OBJS := $(RT_LIB_SRCS:%.c=$(BUILD)/obj/%.o)
RT_TOOL_OBJS := $(RT_TOOL_SRCS:%.c=$(BUILD)/obj/%.o)
RT_PARTS := $(if $(wildcard qemu-device/build.mk),$(BUILD)/libdamf-core.a) \
	$(if $(wildcard runtime/kernels/build.mk),$(BUILD)/libdamf-kernels.a)

# The library with the core and the kernels inside, so that one archive links.
LIBDAMF_A := $(BUILD)/libdamf.a
LIBDAMF_SO := $(BUILD)/libdamf.so.$(DAMF_ABI)
LIBDAMF_PC := $(BUILD)/libdamf.pc

.PHONY: runtime install
runtime: $(LIBDAMF_A) $(LIBDAMF_PC)
ifeq ($(words $(RT_PARTS)),2)
runtime: $(LIBDAMF_SO) $(if $(RT_TOOL_SRCS),$(BUILD)/damf)
endif
all: runtime

$(RT_LIB_OBJS) $(RT_TOOL_OBJS): $(BUILD)/obj/%.o: %.c runtime/build.mk
	@mkdir -p $(@D)
	$(CC) $(RT_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(LIBDAMF_A): $(RT_LIB_OBJS) $(RT_PARTS)
	@rm -f $@
	@echo "AR $@"
	@printf '%s\n' 'CREATE $@' $(RT_LIB_OBJS:%='ADDMOD %') $(RT_PARTS:%='ADDLIB %') \
		SAVE END | $(AR) -M

$(LIBDAMF_SO): $(RT_LIB_OBJS) $(RT_PARTS) runtime/libdamf.map
	$(CC) -shared -o $@ -Wl,-soname,libdamf.so.$(DAMF_ABI) \
		-Wl,--version-script=runtime/libdamf.map \
		$(if $(SAN),,-Wl,-z,defs) $(RT_LDFLAGS) $(LDFLAGS) \
		$(RT_LIB_OBJS) -Wl,--start-group $(RT_PARTS) -Wl,--end-group $(RT_LIBS)
	ln -sf libdamf.so.$(DAMF_ABI) $(BUILD)/libdamf.so

# The prefix is known when it is used: make, then make install PREFIX=/usr.
PC_SED = sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(DAMF_VERSION)|' runtime/libdamf.pc.in

$(LIBDAMF_PC): runtime/libdamf.pc.in runtime/include/damf.h runtime/build.mk
	@mkdir -p $(@D)
	$(PC_SED) >$@

$(BUILD)/damf: $(RT_TOOL_OBJS) $(LIBDAMF_A)
	$(CC) -o $@ $(RT_LDFLAGS) $(LDFLAGS) $(RT_TOOL_OBJS) $(LIBDAMF_A) $(RT_LIBS)

# The page on what attention costs, and its plots (gnuplot draws them).
.PHONY: report
report: $(BUILD)/damf
	$(BUILD)/damf report --backend sim --rst --plots $(BUILD)/report >$(BUILD)/report.rst
	for p in macs bytes time; do \
		sed '1a <!-- SPDX-License-Identifier: MIT -->' $(BUILD)/report/report-$$p.svg \
			>Documentation/report-$$p.svg || exit 1; \
	done
	mv $(BUILD)/report.rst Documentation/

install: runtime
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include \
		$(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 755 $(BUILD)/damf $(DESTDIR)$(PREFIX)/bin/
	install -m 644 runtime/include/damf.h runtime/include/damf_model.h uapi/damf_hw.h \
		$(DESTDIR)$(PREFIX)/include/
	install -m 644 $(LIBDAMF_A) $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(LIBDAMF_SO) $(DESTDIR)$(PREFIX)/lib/
	ln -sf libdamf.so.$(DAMF_ABI) $(DESTDIR)$(PREFIX)/lib/libdamf.so
	$(PC_SED) >$(DESTDIR)$(PREFIX)/lib/pkgconfig/libdamf.pc
	chmod 644 $(DESTDIR)$(PREFIX)/lib/pkgconfig/libdamf.pc

-include $(RT_LIB_OBJS:.o=.d) $(RT_TOOL_OBJS:.o=.d)
