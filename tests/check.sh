#!/bin/bash
# SPDX-License-Identifier: MIT
# `make check`: runs every kind of test and adds up the results. Steps that
# print TAP count test by test, any other counts as one test.
#
# usage: check.sh [STEP...]    without names, all but those of MORE
set -euo pipefail
. "$(dirname "$0")/vm/lib.sh"

cd "$TOP_DIR"
LOGS=$BUILD_DIR/log/check
VM_RUN=$VM_DIR/vm-run
PASSED=0 FAILED=0 SKIPPED=0
FAILURES=()

# What there is, in order: name, time limit in seconds, what it is. The
# function check_NAME with - as _ runs it.
STEPS=(
	'unit|300|unit tests'
	'unit-san|900|unit and core tests and drawn layers under ASan and UBSan'
	'tsan|900|where threads meet, under TSan'
	'tokenizer|600|token ids beside those of Hugging Face tokenizers'
	'safetensors|300|converted models opened by the package safetensors'
	'qtest|300|the device in QEMU by qtest, without a guest'
	'conformance-cpu|600|conformance of the CPU with the float64 reference'
	'conformance-isa|600|the same bits from every instruction set and number of threads'
	'conformance-long|300|conformance of long sequences, CPU and device model'
	'conformance-sim|600|conformance of the device model in this process'
	'conformance-device|900|conformance of the device in the guest'
	'conformance-guest|900|conformance of the CPU of the guest'
	'lowlayer|300|the low layer of the library on the device in the guest'
	'kselftest|600|kernel selftests in the guest'
	'vm-run|400|the runner of the guest keeps its promises'
	'bits|600|the same embeddings in any batch, on any instruction set and threads'
	'same-bits|900|device, sim and CPU give the same bits'
	'removal|900|the device goes away during a run'
	'stress|400|sixteen processes, one killed each second'
	'reload|120|the module comes and goes, the kernel log is clean'
	'module-static|300|the module without a warning from W=1 and sparse'
	'checkpatch|300|the module without a word from checkpatch --strict'
	'scripts|120|shellcheck on every shell script'
	'report|60|the text and the report of make run, and make bench-device'
	'benchmark|60|what make bench makes of times and outputs'
)

# The same, but they take long: `make sanitize` names them.
MORE=(
	'all-san|7200|the whole suite here under ASan and UBSan'
	'all-tsan|7200|the whole suite here under TSan'
)

# tests of one kind that make names
listed()
{
	make -C "$TOP_DIR" -s --no-print-directory BUILD="$BUILD_DIR" "${@:2}" "print-$1"
}

# run_tests PROGRAM...: each in turn; fails if one does. One that prints no
# TAP counts as one test, and so does the end of one that ends badly although
# all of its tests were fine.
run_tests()
{
	local program out failed=0 status

	out=$(mktemp)
	for program in "$@"; do
		status=0
		echo "# $(basename "$program")"
		CMOCKA_MESSAGE_OUTPUT=TAP "$program" >"$out" 2>&1 || status=$?
		cat "$out"
		if [ "$status" != 0 ]; then
			failed=1
			grep -q '^not ok' "$out" ||
				echo "not ok 0 $(basename "$program"): status $status"
		elif ! grep -q -E '^(not )?ok' "$out"; then
			echo "ok 0 $(basename "$program")"
		fi
	done
	rm -f "$out"
	return "$failed"
}

check_unit()
{
	local tests

	mapfile -t tests < <(listed UNIT_TESTS)
	run_tests "${tests[@]}"
}

# conformance_san SAN ARGUMENT...: the suite, built with these sanitizers.
conformance_san()
{
	CMOCKA_MESSAGE_OUTPUT=TAP "$(listed CONF_PROGRAM SAN="$1")" "${@:2}"
}

# tests_san SAN GOAL KIND: builds that kind of tests with these sanitizers, and runs it.
tests_san()
{
	local tests

	make -C "$TOP_DIR" -s --no-print-directory -j"${JOBS:-$(nproc)}" SAN="$1" \
		BUILD="$BUILD" "$2" conformance || return
	mapfile -t tests < <(listed "$3" SAN="$1")
	[ ${#tests[@]} != 0 ] || die "make names no $3"
	run_tests "${tests[@]}"
}

check_unit_san()
{
	local san=address,undefined status=0

	tests_san "$san" unit-tests UNIT_TESTS || status=1
	conformance_san "$san" --backend sim --filter drawn || status=1
	return "$status"
}

check_tsan()
{
	local status=0

	tests_san thread thread-tests THREAD_TESTS || status=1
	conformance_san thread --backend sim --filter drawn || status=1
	return "$status"
}

# all_san SAN: every test that runs here.
all_san()
{
	local backend status=0

	tests_san "$1" unit-tests UNIT_TESTS || status=1
	for backend in cpu sim; do
		conformance_san "$1" --backend "$backend" || status=1
		conformance_san "$1" --backend "$backend" --long || status=1
	done
	tokenizer_parity SAN="$1" || status=1
	return "$status"
}

check_all_san()
{
	all_san address,undefined
}

check_all_tsan()
{
	all_san thread
}

# tokenizer_parity [VARIABLE=VALUE...]: of what make builds with these.
tokenizer_parity()
{
	make -C "$TOP_DIR" -s --no-print-directory BUILD="$BUILD" PYTHON=/usr/bin/python3 \
		"$@" tokenizer-parity
}

check_tokenizer()
{
	tokenizer_parity
}

check_safetensors()
{
	make -C "$TOP_DIR" -s --no-print-directory BUILD="$BUILD" PYTHON=/usr/bin/python3 \
		safetensors-parity
}

check_qtest()
{
	local tests

	mapfile -t tests < <(listed QEMU_TESTS)
	DAMF_QEMU=$BUILD_DIR/qemu/qemu-system-x86_64 run_tests "${tests[@]}"
}

# The CPU is judged by the reference, and what it gave is what the others
# must give, bit for bit.
check_conformance_cpu()
{
	CMOCKA_MESSAGE_OUTPUT=TAP "$BUILD_DIR/tests/conformance" --backend cpu \
		--dump "$LOGS/conformance.golden"
}

# What this machine lacks is skipped.
check_conformance_isa()
{
	local isa threads status=0 run=("$BUILD_DIR/tests/conformance" --backend cpu
		--golden "$LOGS/conformance.golden")

	for isa in generic avx2 avxvnni avx512 avx512vnni neon; do
		if ! DAMF_ISA=$isa "${run[@]}" --filter 'nop copy fill' >"$LOGS/isa.log" 2>&1; then
			echo "ok 1 - $isa # SKIP $(grep -m 1 conformance: "$LOGS/isa.log")"
			continue
		fi
		DAMF_ISA=$isa CMOCKA_MESSAGE_OUTPUT=TAP "${run[@]}" || status=1
	done
	for threads in 1 3; do
		CMOCKA_MESSAGE_OUTPUT=TAP "${run[@]}" --threads "$threads" || status=1
	done
	return "$status"
}

# Up to as many tokens as a sequence may have.
check_conformance_long()
{
	local run=("$BUILD_DIR/tests/conformance" --long)

	CMOCKA_MESSAGE_OUTPUT=TAP "${run[@]}" --dump "$LOGS/conformance-long.golden" || return
	CMOCKA_MESSAGE_OUTPUT=TAP "${run[@]}" --backend sim \
		--golden "$LOGS/conformance-long.golden"
}

check_conformance_sim()
{
	CMOCKA_MESSAGE_OUTPUT=TAP "$BUILD_DIR/tests/conformance" --backend sim \
		--golden "$LOGS/conformance.golden"
}

check_conformance_device()
{
	# shellcheck disable=SC2016 # the variables are the guest's
	"$VM_RUN" --timeout 850 --share golden="$LOGS" -- sh -c '
		export CMOCKA_MESSAGE_OUTPUT=TAP
		status=0
		for submit in uring ioctl; do
			conformance --backend device --submit "$submit" \
				--golden /mnt/golden/conformance.golden || status=1
		done
		exit $status'
}

check_conformance_guest()
{
	"$VM_RUN" --timeout 850 --share golden="$LOGS" -- env CMOCKA_MESSAGE_OUTPUT=TAP \
		conformance --backend cpu --golden /mnt/golden/conformance.golden
}

check_lowlayer()
{
	"$VM_RUN" --timeout 250 -- env CMOCKA_MESSAGE_OUTPUT=TAP test_lowlayer device ioctl
}

# All in one boot; the programs' names are expanded in the guest.
check_kselftest()
{
	local program names=()

	while read -r program; do
		names+=("$(basename "$program")")
	done < <(listed KSELFTESTS)
	[ ${#names[@]} != 0 ] || die "make names no selftests"
	# shellcheck disable=SC2016 # the variables are the guest's
	"$VM_RUN" --timeout 550 --allow 'damf .*resetting: asked for in debugfs' -- sh -c \
		'status=0; for t; do echo "# $t"; "$t" || status=1; done; exit $status' sh "${names[@]}"
}

check_vm_run()
{
	"$VM_DIR/test-vm-run.sh"
}

check_bits()
{
	cut -f 1 "$VM_DIR/sentences.tsv" | python3 -B "$TOP_DIR/tests/cli/bits.py" "$BUILD_DIR/damf" \
		"$BUILD_DIR/models/all-MiniLM-L6-v2" - --limit 8 --generic 1
}

check_same_bits()
{
	"$VM_DIR/test-same-bits.sh"
}

check_removal()
{
	"$VM_DIR/test-removal.sh"
}

check_stress()
{
	"$VM_DIR/test-stress.sh"
}

check_reload()
{
	"$VM_RUN" --timeout 100 -- sh -c \
		'for i in 1 2 3; do rmmod damf && insmod /lib/modules/damf.ko || exit 1; done; damf info'
}

check_module_static()
{
	"$VM_DIR/module.sh" --check
}

check_checkpatch()
{
	local tools tree=$BUILD_DIR/checkpatch

	tools=$("$VM_DIR/kernel.sh" --tools)
	# Placed as in the kernel's tree: some rules differ for uapi headers.
	rm -rf "$tree"
	mkdir -p "$tree/drivers/accel/damf" "$tree/include/uapi"
	cp "$TOP_DIR"/driver/*.[ch] "$tree/drivers/accel/damf/"
	cp -r "$TOP_DIR"/uapi/. "$tree/include/uapi/"
	cd "$tree"
	find . -name '*.[ch]' -printf '%P\n' | sort | xargs -n 1 \
		perl "$tools/scripts/checkpatch.pl" --no-tree --root="$tree" --strict --terse -f
}

check_scripts()
{
	local files

	cd "$TOP_DIR"
	mapfile -t files < <(git grep -l -E '^#!/bin/(ba)?sh' -- ':!runtime/training' 2>/dev/null)
	shellcheck -x "${files[@]}"
}

check_report()
{
	/usr/bin/python3 -B "$TOP_DIR/tests/vm/test_report.py" &&
		/usr/bin/python3 -B "$TOP_DIR/tests/vm/test_bench_device.py"
}

check_benchmark()
{
	/usr/bin/python3 -B "$TOP_DIR/tests/bench/test_bench.py"
}

# count LOG STATUS: adds the results of a step, by its TAP lines if it has any.
# cmocka marks a skipped test as "not ok", so the mark counts, not the word.
count()
{
	local skipped passed failed

	skipped=$(grep -c -E '^(not )?ok [0-9]+.*# SKIP' "$1" || true)
	passed=$(grep -E '^ok [0-9]+' "$1" | grep -c -v '# SKIP' || true)
	failed=$(grep -E '^not ok [0-9]+' "$1" | grep -c -v '# SKIP' || true)
	# A step that fails without saying where, or that says nothing at all.
	if [ "$2" != 0 ] && [ "$failed" = 0 ]; then
		failed=1
	elif [ $((skipped + passed + failed)) = 0 ]; then
		passed=1
	fi
	PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
	COUNT="$passed passed, $failed failed$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
	[ "$failed" = 0 ]
}

run_step()
{
	local name=$1 limit=$2 what=$3 log=$LOGS/$1.log status=0 start=$SECONDS

	timeout -k 5 "$limit" "$0" --step "$name" >"$log" 2>&1 </dev/null || status=$?
	[ "$status" != 124 ] || echo "not done after $limit s" >>"$log"
	if count "$log" "$status"; then
		printf '%-58s %s (%d s)\n' "$what" "$COUNT" $((SECONDS - start))
	else
		FAILURES+=("$name")
		printf '%-58s %s  <-- %s\n' "$what" "$COUNT" "$log"
		grep -E '^not ok' "$log" | head -n 20 || true
		tail -n 15 "$log"
	fi
}

set_up()
{
	local make=(make -C "$TOP_DIR" --no-print-directory BUILD="$BUILD" "-j${JOBS:-$(nproc)}")

	"$VM_DIR/deps.sh"
	progress 'building the runtime and the tests'
	quietly "$LOGS/build.log" "${make[@]}" all unit-tests guest-tests qemu-tests
	"$VM_DIR/qemu-build.sh"
	"$VM_DIR/module.sh"
	"$VM_DIR/fetch-model.sh"
	"$VM_DIR/image.sh"
}

if [ "${1:-}" = --step ]; then
	"check_${2//-/_}"
	exit
fi
mkdir -p "$LOGS"
if ! (set_up); then
	echo 'the set-up failed'
	echo '0 passed, 1 failed'
	exit 1
fi
[ $# = 0 ] || STEPS+=("${MORE[@]}")
for step in "${STEPS[@]}"; do
	IFS='|' read -r name limit what <<<"$step"
	case " ${*:-$name} " in
	*" $name "*) run_step "$name" "$limit" "$what" ;;
	esac
done
[ ${#FAILURES[@]} = 0 ] || echo "failed: ${FAILURES[*]}"
echo "$PASSED passed, $FAILED failed$([ "$SKIPPED" = 0 ] || echo ", $SKIPPED skipped")"
[ "$FAILED" = 0 ]
