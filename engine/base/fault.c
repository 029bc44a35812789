#include "engine/base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "engine/base/xxh3.h"

#define CACHE_LINE_BYTES 64u
#define WORD_BYTES sizeof(uint64_t)
/* More at a time than the processor has under way. */
#define FETCH_BYTES_MAX 4096u

/* The read, or the store, that this thread is in. Only the thread itself and the handler that
 * interrupts it look at it. */
struct guard {
	sigjmp_buf back;
	volatile uintptr_t from;
	volatile uintptr_t end; /* == from: in none */
};

static _Thread_local struct guard guard;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int installed = -EINVAL; /* once */
static struct sigaction previous; /* once */
static uintptr_t page_mask; /* once */
static int blank_fd = -1; /* once; a page of 0xFF in memory */

struct cover {
	_Atomic uintptr_t from; /* written under covers_lock */
	_Atomic uintptr_t end; /* likewise; 0: not in use */
};

static pthread_mutex_t covers_lock = PTHREAD_MUTEX_INITIALIZER;
static struct cover covers[FAULT_COVERS_MAX];
static _Atomic uint64_t covered;

static bool ours(const siginfo_t *info)
{
	uintptr_t from = guard.from, end = guard.end;
	uintptr_t at = (uintptr_t)info->si_addr;

	if (from == end || info->si_code <= 0) /* sent by a process, not by the memory */
		return false;
	/* A page of broken memory is named by its first byte. */
	if (info->si_code == BUS_MCEERR_AR)
		from &= page_mask;
	return at >= from && at < end;
}

/* Replace a page of a covered map. The read that faulted is done again on return. */
static bool replace_page(const siginfo_t *info)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	bool found = false;

	for (size_t i = 0; !found && info->si_code > 0 && i < FAULT_COVERS_MAX; i++)
		found = at >= atomic_load(&covers[i].from) && at < atomic_load(&covers[i].end);
	if (!found)
		return false;
	/* First, so that who has stored in such a page sees that there is one. */
	atomic_fetch_add(&covered, 1);
	if (mmap((void *)(at & page_mask), ~page_mask + 1, PROT_READ | PROT_WRITE,
	         MAP_PRIVATE | MAP_FIXED, blank_fd, 0) != MAP_FAILED)
		return true;
	atomic_fetch_sub(&covered, 1);
	return false;
}

static void pass_on(int number, siginfo_t *info, void *context)
{
	if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(number, info, context);
		return;
	}
	if (previous.sa_handler == SIG_IGN && info->si_code <= 0)
		return;
	if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
		previous.sa_handler(number);
		return;
	}
	/* To end as without us: on return the access faults again, with its own address
	 * in the core; a signal that was sent has to be sent again. */
	if (signal(number, SIG_DFL) == SIG_ERR || (info->si_code <= 0 && raise(number) != 0))
		_exit(128 + number);
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	int saved = errno;

	if (ours(info)) {
		/* What sigsetjmp would have to save for each read is here for nothing. */
		if (sigprocmask(SIG_SETMASK, &((ucontext_t *)context)->uc_sigmask, NULL) != 0)
			_exit(128 + number);
		siglongjmp(guard.back, 1);
	}
	if (!replace_page(info))
		pass_on(number, info, context);
	errno = saved;
}

static int make_blank(size_t page_bytes)
{
	unsigned char bytes[4096];
	int r = 0;

	memset(bytes, 0xFF, sizeof(bytes));
	blank_fd = memfd_create("quiver-blank", MFD_CLOEXEC);
	if (blank_fd < 0)
		return -errno;
	for (size_t at = 0; r == 0 && at < page_bytes; at += sizeof(bytes))
		if (pwrite(blank_fd, bytes, sizeof(bytes), (off_t)at) != (ssize_t)sizeof(bytes))
			r = -ENOSPC;
	return r;
}

static void install(void)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK,
	};
	long page = sysconf(_SC_PAGESIZE);

	page_mask = ~((uintptr_t)page - 1);
	installed = page > 0 ? make_blank((size_t)page) : -EINVAL;
	if (installed)
		return;
	if (sigemptyset(&action.sa_mask) != 0 || sigaction(SIGBUS, NULL, &previous) != 0 ||
	    sigaction(SIGBUS, &action, NULL) != 0)
		installed = -errno;
	else
		installed = 0;
}

int fault_init(void)
{
	int r = pthread_once(&once, install);

	return r != 0 ? -r : installed;
}

static void arm(const void *from, size_t length)
{
	guard.from = (uintptr_t)from;
	guard.end = (uintptr_t)from + length;
	atomic_signal_fence(memory_order_seq_cst); /* before the first access */
}

static void disarm(void)
{
	atomic_signal_fence(memory_order_seq_cst); /* after the last access */
	guard.end = guard.from;
}

int fault_copy(void *to, const void *from, size_t length)
{
	if (sigsetjmp(guard.back, 0) != 0) {
		disarm();
		return -EIO;
	}
	arm(from, length);
	memcpy(to, from, length);
	disarm();
	return 0;
}

static inline void load_word(char *to, const char *from)
{
	const uint64_t *word = __builtin_assume_aligned(from, WORD_BYTES);
	uint64_t value = __atomic_load_n(word, __ATOMIC_RELAXED);

	memcpy(to, &value, WORD_BYTES);
}

int fault_load(void *to, const void *from, size_t length)
{
	size_t at = 0;

	if (sigsetjmp(guard.back, 0) != 0) {
		disarm();
		return -EIO;
	}
	arm(from, length);
	for (; at + 2 * WORD_BYTES <= length; at += 2 * WORD_BYTES) {
		load_word((char *)to + at, (const char *)from + at);
		load_word((char *)to + at + WORD_BYTES, (const char *)from + at + WORD_BYTES);
	}
	if (at < length)
		load_word((char *)to + at, (const char *)from + at);
	disarm();
	return 0;
}

int fault_store(void *to, const void *from, size_t length)
{
	if (sigsetjmp(guard.back, 0) != 0) {
		disarm();
		return -EIO;
	}
	arm(to, length);
	for (size_t at = 0; at < length; at += sizeof(uint64_t)) {
		uint64_t *word = __builtin_assume_aligned((char *)to + at, sizeof(*word));
		uint64_t value;

		memcpy(&value, (const char *)from + at, sizeof(value));
		__atomic_store_n(word, value, __ATOMIC_RELAXED);
	}
	disarm();
	return 0;
}

int fault_fill(void *to, const void *from, size_t length)
{
	if (sigsetjmp(guard.back, 0) != 0) {
		disarm();
		return -EIO;
	}
	arm(to, length);
	memcpy(to, from, length);
	disarm();
	return 0;
}

/* The processor sees by itself that bytes are read one after the other, but late, and anew in each
 * page. */
static void fetch(const char *from, size_t length)
{
	for (size_t at = 0; at < length && at < FETCH_BYTES_MAX; at += CACHE_LINE_BYTES)
		__builtin_prefetch(from + at);
}

int fault_hash(const void *from, size_t length, uint64_t *hash)
{
	if (sigsetjmp(guard.back, 0) != 0) {
		disarm();
		return -EIO;
	}
	fetch(from, length);
	arm(from, length);
	*hash = XXH3_64bits(from, length);
	disarm();
	return 0;
}

int fault_run(const void *from, size_t length, void (*read)(void *arg), void *arg)
{
	if (sigsetjmp(guard.back, 0) != 0) {
		disarm();
		return -EIO;
	}
	arm(from, length);
	read(arg);
	disarm();
	return 0;
}

int fault_cover(const void *map, size_t length)
{
	int r = -EMFILE;

	pthread_mutex_lock(&covers_lock);
	for (size_t i = 0; r != 0 && i < FAULT_COVERS_MAX; i++) {
		if (atomic_load(&covers[i].end) != 0)
			continue;
		atomic_store(&covers[i].from, (uintptr_t)map);
		atomic_store(&covers[i].end, (uintptr_t)map + length);
		r = 0;
	}
	pthread_mutex_unlock(&covers_lock);
	return r;
}

void fault_uncover(const void *map)
{
	pthread_mutex_lock(&covers_lock);
	for (size_t i = 0; map != NULL && i < FAULT_COVERS_MAX; i++)
		if (atomic_load(&covers[i].from) == (uintptr_t)map)
			atomic_store(&covers[i].end, 0);
	pthread_mutex_unlock(&covers_lock);
}

uint64_t fault_covered(void)
{
	return atomic_load(&covered);
}
