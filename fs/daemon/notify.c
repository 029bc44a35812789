/*
 * notify.c - telling the service manager how the mount does.
 */
#include "fs/daemon/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/base/value.h"
#include "fs/daemon/log.h"

/* More than a store's and a mount's path in one line need. */
#define TEXT_BYTES 16384
/* Whoever does not read must not keep a mount from ending. */
#define SEND_TIMEOUT_S 2
/* Longer than anybody waits for a hung daemon. */
#define WATCHDOG_MS_MAX (UINT32_C(24) * 3600 * 1000)

/* Set by notify_init, constant afterwards. */
static struct {
	int fd; /* connected, or -1 */
	uint32_t watchdog_ms;
} manager = { .fd = -1 };

/* A socket connected to the one of that name, '@' standing for the byte 0 of the abstract
 * namespace. A descriptor or a negative errno. */
static int connect_to(const char *name)
{
	const struct timeval timeout = { .tv_sec = SEND_TIMEOUT_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(name);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	int fd;

	if ((name[0] != '/' && name[0] != '@') || length >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, name, length);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    connect(fd, (const struct sockaddr *)&address, size) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* What WATCHDOG_USEC says, where it is meant for us; else 0. */
static uint32_t watchdog_ms(const char *pid, const char *microseconds)
{
	uint64_t number;

	if (pid && (value_parse_u64(pid, strlen(pid), &number) < 0 || number != (uint64_t)getpid()))
		return 0;
	if (!microseconds || value_parse_u64(microseconds, strlen(microseconds), &number) < 0)
		return 0;
	number /= 1000;
	return number < WATCHDOG_MS_MAX ? (uint32_t)number : WATCHDOG_MS_MAX;
}

void notify_init(void)
{
	const char *name = getenv("NOTIFY_SOCKET");

	if (name) {
		manager.fd = connect_to(name);
		if (manager.fd >= 0)
			manager.watchdog_ms =
				watchdog_ms(getenv("WATCHDOG_PID"), getenv("WATCHDOG_USEC"));
		else
			log_line(LOG_WARNING,
			         "NOTIFY_SOCKET=%s: %s; the service manager is not told of the "
			         "mount",
			         name, strerror(-manager.fd));
	}
	/* These fail only for names that are none. */
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_PID");
	(void)unsetenv("WATCHDOG_USEC");
}

void notify_say(const char *format, ...)
{
	char text[TEXT_BYTES];
	va_list args;
	ssize_t sent;

	if (manager.fd < 0)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	do {
		sent = send(manager.fd, text, strlen(text), MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		log_line(LOG_WARNING, "the service manager cannot be told: %s",
		         errno == EAGAIN ? "it does not read" : strerror(errno));
}

bool notify_is_heard(void)
{
	return manager.fd >= 0;
}

uint32_t notify_watchdog_ms(void)
{
	return manager.watchdog_ms;
}
