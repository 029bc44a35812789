#include "fault.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include <xxhash.h>

/* The read that this thread is in. Only the thread itself and the handler that
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
	pass_on(number, info, context);
	errno = saved;
}

static void install(void)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK,
	};
	long page = sysconf(_SC_PAGESIZE);

	page_mask = ~((uintptr_t)page - 1);
	if (page <= 0 || sigemptyset(&action.sa_mask) != 0 ||
	    sigaction(SIGBUS, NULL, &previous) != 0 || sigaction(SIGBUS, &action, NULL) != 0)
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

int fault_hash(const void *from, size_t length, uint64_t *hash)
{
	if (sigsetjmp(guard.back, 0) != 0) {
		disarm();
		return -EIO;
	}
	arm(from, length);
	*hash = XXH3_64bits(from, length);
	disarm();
	return 0;
}
