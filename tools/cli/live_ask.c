/*
 * live_ask.c - files of a live mount that are asked: what is written is a question, what is read the
 * answer.
 */
#include "tools/cli/live_ask.h"
#include "tools/cli/live.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int live_ask(int fd, struct iovec *parts, int count)
{
	while (count > 0) {
		ssize_t written;

		if (parts->iov_len == 0) {
			parts++;
			count--;
			continue;
		}
		written = writev(fd, parts, count);
		if (written < 0)
			return live_error(fd, errno);
		while (count > 0 && (size_t)written >= parts->iov_len) {
			written -= (ssize_t)parts->iov_len;
			parts++;
			count--;
		}
		if (count > 0) {
			parts->iov_base = (char *)parts->iov_base + written;
			parts->iov_len -= (size_t)written;
		}
	}
	return 0;
}

int live_answer(int fd, void *to, size_t length)
{
	size_t done = 0;

	while (done < length) {
		ssize_t got = read(fd, (char *)to + done, length - done);

		if (got < 0)
			return live_error(fd, errno);
		if (got == 0)
			return -EPROTO;
		done += (size_t)got;
	}
	return 0;
}

const uint64_t *live_little(const uint64_t *numbers, size_t count, uint64_t **made)
{
	*made = NULL;
	if (__BYTE_ORDER == __LITTLE_ENDIAN || count == 0)
		return numbers;
	*made = malloc(count * sizeof(**made));
	for (size_t i = 0; *made != NULL && i < count; i++)
		(*made)[i] = htole64(numbers[i]);
	return *made;
}

int live_get_open(int mount_fd)
{
	return live_open(mount_fd, "control/get", O_RDWR);
}

int live_get(int fd, const uint64_t *ids, size_t count, size_t vector_bytes, void *to, int *results)
{
	/* what the byte of a vector says, by its value */
	static const int said[] = { -ENOENT, 0, -EIO, -EACCES };
	uint64_t *made;
	const uint64_t *little = live_little(ids, count, &made);
	struct iovec part = { (void *)(uintptr_t)little, count * sizeof(*little) };
	unsigned char *bytes = malloc(count > 0 ? count : 1);
	int result = little != NULL && bytes != NULL ? 0 : -ENOMEM;

	if (result == 0)
		result = live_ask(fd, &part, 1);
	if (result == 0)
		result = live_answer(fd, to, count * vector_bytes);
	if (result == 0)
		result = live_answer(fd, bytes, count);
	for (size_t i = 0; i < count && result == 0; i++) {
		if (bytes[i] >= sizeof(said) / sizeof(said[0]))
			result = -EPROTO;
		else
			results[i] = said[bytes[i]];
	}
	free(bytes);
	free(made);
	return result;
}
