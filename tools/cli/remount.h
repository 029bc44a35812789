/*
 * remount.h - mount -o remount of a live mount: read-only, writable, the kernel's flags.
 */
#ifndef REMOUNT_H
#define REMOUNT_H

/*
 * Change the mount on the folder `point` as the options say, a list as mount(8) gives it:
 * ro, rw and what else is the kernel's own (nosuid, noexec, noatime ...). What is ours
 * (durability=, uid= ...) stays as it is; mount(8) repeats it from fstab.
 * 0, or a negative errno that has been said on stderr: -EBUSY somebody writes, -EROFS the
 * daemon itself was started with ro, so that nothing can make it writable, -EPERM.
 */
int remount_change(const char *point, const char *options);

#endif
