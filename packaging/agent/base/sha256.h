/* SHA-256 (FIPS 180-4). */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { SHA256_SIZE = 32 }; /* bytes of a digest */

struct sha256 {
    uint32_t h[8];
    uint64_t length; /* bytes so far */
    uint8_t block[64];
};

void sha256_start(struct sha256 *sum);
void sha256_add(struct sha256 *sum, const void *bytes, size_t count);

/* Writes the digest's bytes. */
void sha256_bytes(struct sha256 *sum, uint8_t out[SHA256_SIZE]);

/* Writes 64 hexadecimal digits and an end. */
void sha256_finish(struct sha256 *sum, char hex[65]);
