// SPDX-License-Identifier: MIT
#include "unicode.h"

#include <string.h>

/*
 * Length of the sequence at @s, which has @room bytes, or 0 if it is malformed.
 * The second byte's range is what keeps out overlong forms and surrogates.
 */
static size_t sequence_length(const unsigned char *s, size_t room)
{
	unsigned char low = 0x80, high = 0xBF;
	size_t n, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xC2 || s[0] > 0xF4)
		return 0;
	n = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
	if (room < n)
		return 0;
	switch (s[0]) {
	case 0xE0:
		low = 0xA0;
		break;
	case 0xED:
		high = 0x9F;
		break;
	case 0xF0:
		low = 0x90;
		break;
	case 0xF4:
		high = 0x8F;
		break;
	}
	if (s[1] < low || s[1] > high)
		return 0;
	for (i = 2; i < n; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	return n;
}

size_t damf_utf8_check(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t i = 0, n;

	while (i < len) {
		while (len - i >= sizeof(uint64_t)) {
			uint64_t word;

			memcpy(&word, s + i, sizeof(word));
			if (word & 0x8080808080808080u)
				break;
			i += sizeof(word);
		}
		if (i == len)
			break;
		n = sequence_length(s + i, len - i);
		if (!n)
			return i;
		i += n;
	}
	return len;
}
