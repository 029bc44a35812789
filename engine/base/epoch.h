/*
 * epoch.h - read-side critical sections of userspace RCU (liburcu, bulletproof
 * flavour: threads need not register, so any caller's thread can read).
 *
 * Whoever looks up a slot does so between epoch_enter and epoch_leave and pins it
 * before leaving; whoever wants to reuse a slot or free a table first unpublishes
 * it and then waits with epoch_wait. McKenney et al., "User-Level Implementations
 * of Read-Copy Update", IEEE TPDS 2012.
 */
#ifndef QUIVER_EPOCH_H
#define QUIVER_EPOCH_H

#include <urcu-bp.h>

/* liburcu's fences are invisible to ThreadSanitizer: tell it what they order. */
#if defined(__SANITIZE_THREAD__)
#define EPOCH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define EPOCH_TSAN 1
#endif
#endif

#ifdef EPOCH_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
extern char epoch_tsan_tag;
#endif

#if defined(EPOCH_TSAN) || defined(__SANITIZE_ADDRESS__)
#define EPOCH_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EPOCH_SANITIZED 1
#endif
#endif

/* liburcu's own functions of a few lines, made for callers of any licence, where they are to be
 * inlined. Sanitizers shall not look into them (liburcu's threads are not aligned as their type
 * says, which UBSan, beside ASan, would tell of), and the analyzer does not understand that a
 * thread which has registered itself is registered. */
#if !defined(EPOCH_SANITIZED) && !defined(__clang_analyzer__)
#include <urcu/static/urcu-bp.h>
#define EPOCH_LOCK _urcu_bp_read_lock
#define EPOCH_UNLOCK _urcu_bp_read_unlock
#else
#define EPOCH_LOCK urcu_bp_read_lock
#define EPOCH_UNLOCK urcu_bp_read_unlock
#endif

/* Any thread; sections nest. Must not wait for storage inside. */
static inline void epoch_enter(void)
{
	EPOCH_LOCK();
}

static inline void epoch_leave(void)
{
#ifdef EPOCH_TSAN
	__tsan_release(&epoch_tsan_tag);
#endif
	EPOCH_UNLOCK();
}

/* Returns when every section that was open at the call has ended. Takes up to some
 * milliseconds; not inside a section, and holding no lock taken inside one. */
static inline void epoch_wait(void)
{
	urcu_bp_synchronize_rcu();
#ifdef EPOCH_TSAN
	__tsan_acquire(&epoch_tsan_tag);
#endif
}

#endif
