/*
 * base64.h - numbers that are bytes in base64 (RFC 4648).
 */
#ifndef BASE64_H
#define BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* As many characters, with their padding, make so many bytes. */
#define BASE64_LENGTH(bytes) (((bytes) + 2) / 3 * 4)

/*
 * The `size` bytes of a text of exactly BASE64_LENGTH(size) characters, "/" being also "\/" as PHP
 * escapes it in JSON. Where `to` is NULL it is only looked at. False where it is anything else.
 */
bool base64_decode(const char *text, size_t length, unsigned char *to, size_t size);

#endif
