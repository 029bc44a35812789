#include "engine/base/description.h"

#include "engine/codec/printable.h"

bool description_label_is_valid(const char *text, size_t length)
{
	size_t bytes;

	for (size_t at = 0; at < length; at += bytes) {
		uint32_t value = utf8_character(text + at, length - at, &bytes);

		if (value == UINT32_MAX || is_control(value))
			return false;
	}
	return true;
}

bool description_fits_metric(enum quiver_dtype dtype, uint32_t metric)
{
	if (metric == QUIVER_HAMMING)
		return dtype == QUIVER_B1 || dtype == QUIVER_U1;
	return metric < QUIVER_HAMMING;
}
