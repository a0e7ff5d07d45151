/* SPDX-License-Identifier: MIT */
/* cos(pi j / 240), rounded to f32: every set of nodes of softfold lies among these. */
#ifndef DAMF_CHEBYSHEV_H
#define DAMF_CHEBYSHEV_H

#define CHEBYSHEV_STEPS	240

/* Of j up to a quarter of a turn; from there on they come back, negative. */
static const float chebyshev_quarter[CHEBYSHEV_STEPS / 2 + 1] = {
	0x1p+0f, 0x1.fff4c6p-1f, 0x1.ffd316p-1f, 0x1.ff9af2p-1f, 0x1.ff4c5ep-1f, 0x1.fee75ep-1f,
	0x1.fe6bf2p-1f, 0x1.fdda24p-1f, 0x1.fd31fap-1f, 0x1.fc7378p-1f, 0x1.fb9eaap-1f,
	0x1.fab396p-1f, 0x1.f9b24ap-1f, 0x1.f89acep-1f, 0x1.f76d3p-1f, 0x1.f6297cp-1f,
	0x1.f4cfc4p-1f, 0x1.f36012p-1f, 0x1.f1da78p-1f, 0x1.f03f08p-1f, 0x1.ee8dd4p-1f,
	0x1.ecc6eep-1f, 0x1.eaea6cp-1f, 0x1.e8f86p-1f, 0x1.e6f0e2p-1f, 0x1.e4d406p-1f,
	0x1.e2a1e8p-1f, 0x1.e05a9ep-1f, 0x1.ddfe4p-1f, 0x1.db8cecp-1f, 0x1.d906bcp-1f,
	0x1.d66bcep-1f, 0x1.d3bc3ap-1f, 0x1.d0f824p-1f, 0x1.ce1fa8p-1f, 0x1.cb32e8p-1f,
	0x1.c83202p-1f, 0x1.c51d1ap-1f, 0x1.c1f452p-1f, 0x1.beb7ccp-1f, 0x1.bb67aep-1f,
	0x1.b8041ep-1f, 0x1.b48d4p-1f, 0x1.b1033cp-1f, 0x1.ad663ap-1f, 0x1.a9b662p-1f,
	0x1.a5f3dep-1f, 0x1.a21ed8p-1f, 0x1.9e377ap-1f, 0x1.9a3dfp-1f, 0x1.963268p-1f,
	0x1.92151p-1f, 0x1.8de614p-1f, 0x1.89a5a2p-1f, 0x1.8553eep-1f, 0x1.80f126p-1f,
	0x1.7c7d7ap-1f, 0x1.77f91ep-1f, 0x1.736446p-1f, 0x1.6ebf2p-1f, 0x1.6a09e6p-1f,
	0x1.6544cap-1f, 0x1.607002p-1f, 0x1.5b8bc6p-1f, 0x1.56984ap-1f, 0x1.5195c6p-1f,
	0x1.4c8474p-1f, 0x1.47648cp-1f, 0x1.423648p-1f, 0x1.3cf9e2p-1f, 0x1.37af94p-1f,
	0x1.32579ap-1f, 0x1.2cf23p-1f, 0x1.277f94p-1f, 0x1.22p-1f, 0x1.1c73b4p-1f, 0x1.16daeep-1f,
	0x1.1135ecp-1f, 0x1.0b84eep-1f, 0x1.05c836p-1f, 0x1p-1f, 0x1.f4592p-2f, 0x1.e89c4ep-2f,
	0x1.dcca0ep-2f, 0x1.d0e2e2p-2f, 0x1.c4e754p-2f, 0x1.b8d7e6p-2f, 0x1.acb524p-2f,
	0x1.a07f92p-2f, 0x1.9437bcp-2f, 0x1.87de2ap-2f, 0x1.7b7368p-2f, 0x1.6ef802p-2f,
	0x1.626c82p-2f, 0x1.55d178p-2f, 0x1.49276ep-2f, 0x1.3c6ef4p-2f, 0x1.2fa898p-2f,
	0x1.22d4ecp-2f, 0x1.15f47cp-2f, 0x1.0907dcp-2f, 0x1.f81f38p-3f, 0x1.de189ap-3f,
	0x1.c3fd04p-3f, 0x1.a9cd9ap-3f, 0x1.8f8b84p-3f, 0x1.7537e6p-3f, 0x1.5ad3eap-3f,
	0x1.4060b6p-3f, 0x1.25df76p-3f, 0x1.0b515p-3f, 0x1.e16ee4p-4f, 0x1.ac260ap-4f,
	0x1.76ca66p-4f, 0x1.415e54p-4f, 0x1.0be426p-4f, 0x1.acbc74p-5f, 0x1.419dcep-5f,
	0x1.ace214p-6f, 0x1.aceb7cp-7f, 0.0f,
};

static inline float chebyshev(size_t j)
{
	return j <= CHEBYSHEV_STEPS / 2 ? chebyshev_quarter[j] :
		-chebyshev_quarter[CHEBYSHEV_STEPS - j];
}

#endif /* DAMF_CHEBYSHEV_H */
