/*
 * faulty_alloc.c - the allocator below --wrap: one allocation in a run fails, and what has not
 * been given back is counted. Threads that cannot be made count as allocations, too.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "faults.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *p);
void *__real_mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t length);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *p);
void *__wrap_mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t length);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);

static bool fails(void)
{
	long at = atomic_load(&faults.io.at);
	long call;

	if (!faults.allocations)
		return false;
	call = atomic_fetch_add(&faults.allocated, 1) + 1;
	if (at == 0 || call < at || (call > at && atomic_load(&faults.io.how) == TROUBLE_ONCE))
		return false;
	atomic_store(&faults.first_kind, -1);
	errno = ENOMEM;
	return true;
}

static void *count(void *p)
{
	if (p)
		atomic_fetch_add(&faults.live, 1);
	return p;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : count(__real_calloc(n, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : count(__real_aligned_alloc(alignment, size));
}

void *__wrap_realloc(void *p, size_t size)
{
	void *grown;

	if (fails())
		return NULL;
	grown = __real_realloc(p, size);
	return p ? grown : count(grown);
}

/* The libraries' own take their memory past the wrapped malloc. */
char *__wrap_strndup(const char *text, size_t length)
{
	size_t bytes = strnlen(text, length);
	char *copy = __wrap_malloc(bytes + 1);

	if (copy) {
		memcpy(copy, text, bytes);
		copy[bytes] = '\0';
	}
	return copy;
}

char *__wrap_strdup(const char *text)
{
	return __wrap_strndup(text, strlen(text));
}

void __wrap_free(void *p)
{
	if (p)
		atomic_fetch_sub(&faults.live, 1);
	__real_free(p);
}

/* Maps inside a range that is there already are not given back one by one. */
void *__wrap_mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
	void *p = fails() ? MAP_FAILED : __real_mmap64(at, length, protection, flags, fd, offset);

	if (p != MAP_FAILED && !(flags & MAP_FIXED))
		atomic_fetch_add(&faults.live, 1);
	return p;
}

int __wrap_munmap(void *at, size_t length)
{
	int r = __real_munmap(at, length);

	if (r == 0)
		atomic_fetch_sub(&faults.live, 1);
	return r;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
	return fails() ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}
