#!/bin/sh
# SPDX-License-Identifier: MIT
# What the objects of the kernels call: nothing of the mathematical library,
# which picks its functions by the machine. Put in place by make, which fills
# in the path. Prints TAP.
build=@BUILD@
library=$build/libdamf-kernels.a
failed=0

echo "1..2"
math='expf?|exp2f?|erff?|erfcf?|tanhf?|fmaf?|sqrtf?|ldexpf?|r?intf?|nearbyintf?|floorf?|fm(ax|in)f?'
if nm -u "$library" | grep -wE "U ($math)" | sed 's/^/# /' | grep .; then
	failed=1
	echo "not ok 1 - no function of libm is called"
else
	echo "ok 1 - no function of libm is called"
fi

# Contraction shows where there are no fused operations in the source.
case $(uname -m) in
x86_64)
	if objdump -d "$build/kernels/isa_generic.o" | grep -qE '\b(vfn?m(add|sub)|ymm|zmm)'; then
		failed=1
		echo "not ok 2 - the generic kernels are of the base instruction set"
	else
		echo "ok 2 - the generic kernels are of the base instruction set"
	fi
	;;
*)
	echo "ok 2 - the generic kernels are of the base instruction set # SKIP not x86-64"
	;;
esac
exit "$failed"
