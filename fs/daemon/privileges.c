/*
 * privileges.c - giving up capabilities.
 */
#include "fs/daemon/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/daemon/preflight.h"

static const unsigned kept[] = {
	CAP_SYS_ADMIN, /* mount, umount, FUSE passthrough */
	CAP_DAC_OVERRIDE, /* files of a store whose owner is not root */
	CAP_CHOWN, /* and which stay his where new ones take their place */
};

static bool is_kept(unsigned capability)
{
	for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (kept[i] == capability)
			return true;
	}
	return false;
}

/* What even a set-user-ID program could have. Needs CAP_SETPCAP: where that is
 * missing, PR_SET_NO_NEW_PRIVS does as much. */
static int drop_bounding_set(void)
{
	/* The kernel answers EINVAL to the first number that it does not know. */
	for (unsigned capability = 0; capability < 64; capability++) {
		if (is_kept(capability))
			continue;
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return errno == EINVAL || errno == EPERM ? 0 : -errno;
	}
	return 0;
}

static int drop_own(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	uint32_t keep[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		keep[CAP_TO_INDEX(kept[i])] |= CAP_TO_MASK(kept[i]);
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].effective &= keep[i];
		data[i].permitted &= keep[i];
		data[i].inheritable = 0; /* takes the ambient ones with it */
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int privileges_drop(void)
{
	int err;

	if (!preflight_is_admin())
		return 0;
	err = drop_bounding_set();
	if (err == 0)
		err = drop_own();
	if (err == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		err = -errno;
	return err;
}
