/* Certificates and keys as kubeadm writes them: PEM, and kubeconfigs with PEM inside. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Cuts `text` down to what is public: the certificates of a PEM file, or the base64 of a kubeconfig's
 * client certificate. Empty if there is none. */
void pem_keep_public(char *text);

/* Whether a private key, in PEM or in a kubeconfig, has these bytes. `text` is changed. */
bool pem_key_has(char *text, const char *part, size_t length);
