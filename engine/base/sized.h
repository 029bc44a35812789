/*
 * sized.h - structs of quiver.h that can grow: the caller says how large his is.
 */
#ifndef QUIVER_SIZED_H
#define QUIVER_SIZED_H

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Take a struct of `size` bytes, at least `least`, from a caller into ours of `known`: what he does
 * not know of is zero. 0; -EINVAL he has not said how large it is; -E2BIG he means something that
 * we do not know of. As the kernel's copy_struct_from_user. */
static inline int sized_take(void *to, size_t known, const void *from, size_t size, size_t least)
{
	const unsigned char *bytes = from;

	if (size < least)
		return -EINVAL;
	for (size_t i = known; i < size; i++)
		if (bytes[i] != 0)
			return -E2BIG;
	memset(to, 0, known);
	memcpy(to, from, size < known ? size : known);
	return 0;
}

/* Give ours of `known` bytes to a caller with room for `size`: what we do not know of is zero. */
static inline void sized_give(void *to, size_t size, const void *from, size_t known)
{
	memcpy(to, from, size < known ? size : known);
	if (size > known)
		memset((unsigned char *)to + known, 0, size - known);
}

#endif
