/* Structures of options whose size tells their version.
 *
 * The caller may be older than the library (its structure is shorter: the rest is zero) or newer
 * (it is longer: fine as long as what isn't known here is zero).
 */
#pragma once

#include "client/clerktoken.h"
#include "proto/request.h"

#include <errno.h>
#include <stddef.h>

#define OPTIONS_BAD_SIZE "options: `size` is wrong, or the library is too old for what is set"

/* The size of each structure in its first version. */
#define OPTIONS_FIRST_SIZE (offsetof(struct clerktoken_options, socket) + sizeof(char *))
#define GET_OPTIONS_FIRST_SIZE                                                                     \
	(offsetof(struct clerktoken_get_options, refused_id) + sizeof(char *))

#define WHO_FIRST_SIZE (offsetof(struct clerktoken_who, unit) + sizeof(char *))

/* Copies what is known here; each structure starts with its size. 0 or -EINVAL. */
static inline int options_copy(void *to, size_t known, size_t first, const void *from)
{
	const unsigned char *bytes = from;
	size_t size;

	memcpy(&size, from, sizeof(size));
	if (size < first || size > 4096)
		return -EINVAL;
	for (size_t i = known; i < size; i++) {
		if (bytes[i])
			return -EINVAL;
	}
	memcpy(to, from, size < known ? size : known);
	return 0;
}
