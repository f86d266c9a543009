/* Files with keys in them, on their way between a node and a run: sealed, so that whoever stands between
 * the API server and the kubelet can neither read nor change them.
 *
 * The key is a file of a Secret that only this pod mounts: the kubelet gets it from an API server that it
 * has verified. Its first 32 bytes encrypt, the others authenticate. What is sealed is
 *
 *     nonce (16 bytes) | tag (32 bytes) | bytes XOR stream
 *
 * The stream's blocks are HMAC-SHA256(first, nonce | number of the block, 4 bytes);
 * the tag is HMAC-SHA256(second, label | nonce | what is encrypted): encrypt, then authenticate. The label
 * says the direction, the file, and whose question is answered: nothing fits in another's place. The sealed
 * bytes begin with a line of the file's mode, owner and group. */
#ifndef SEAL_H
#define SEAL_H

#include "base/options.h"

/* The order `seal`: a file of the node's own, sealed; `reason` comes back in the label. */
int seal_file(const struct options *options);

/* The order `unseal`: writes what is sealed into a set of ours. */
int seal_open(const struct options *options);

#endif
