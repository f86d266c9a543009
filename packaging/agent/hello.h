/* A ClientHello, as bytes: TLS 1.3 and 1.2, no server name. */
#ifndef HELLO_H
#define HELLO_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t client_hello[];
extern const size_t client_hello_size;

#endif
