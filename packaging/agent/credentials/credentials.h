/* The files with the control plane's certificates and keys: sets of them. One set is the node's own, in
 * the folder above our directory (/etc/kubernetes). The others are ours, DIR/credentials/NAME, each for
 * root alone: a new set until it is used, former sets. An answer has public parts only. */
#pragma once

#include "base/options.h"

enum { CREDENTIAL_MAX = 128 * 1024 }; /* bytes, with an end; a kubeconfig has some 6 KiB */

/* ---- where a set and its files are, for the other orders of this room ---- */

/* Cuts a path down to its folder. */
void credentials_parent(char *path);

/* The folder of a set; `name` NULL: of the node's own. */
int credentials_folder(char out[PATH_SIZE], const struct options *options, const char *name);

/* A file of a set; `file` begins with a slash. No way leads out of the set. */
int credentials_path(char out[PATH_SIZE], const char *folder, const char *file);

/* Makes a set of ours and its folders, for root alone. */
int credentials_make(const struct options *options, const char *name);

/* ---- the orders ---- */

/* The order `certificates`: the named files of a set that there are, with their certificates. */
int credentials_certificates(const struct options *options);

/* The order `copy`: copies files from one set to another, with mode, owner and times. All copies are
 * whole before the first takes the place of what was there. With `link` a file is not copied: it gets
 * one more name. */
int credentials_copy(const struct options *options);

/* The order `holds`: whether the private key in a file has a part, which is of its public key. */
int credentials_holds(const struct options *options);

/* The order `sets`: the names of our sets. */
int credentials_sets(const struct options *options);

/* The order `drop`: removes a set of ours. */
int credentials_drop(const struct options *options);

/* Removes all sets of ours. */
int credentials_clear(const struct options *options);
