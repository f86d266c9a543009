#include "credentials/pem.h"

#include <string.h>

static const char BEGIN[] = "-----BEGIN CERTIFICATE-----";
static const char END[] = "-----END CERTIFICATE-----";
static const char CLIENT_CERTIFICATE[] = "client-certificate-data:";
static const char CLIENT_KEY[] = "client-key-data:";

/* The word after `name`, cut off from what follows; NULL if there is none. */
static char *word_after(char *text, const char *name) {
    char *found = strstr(text, name);
    if (found == NULL) {
        return NULL;
    }
    found += strlen(name);
    found += strspn(found, " \"'");
    found[strcspn(found, " \"'\r\n")] = '\0';
    return found;
}

void pem_keep_public(char *text) {
    char *out = text, *certificate = word_after(text, CLIENT_CERTIFICATE);
    if (certificate != NULL) {
        memmove(text, certificate, strlen(certificate) + 1);
        return;
    }
    for (char *begin = strstr(text, BEGIN); begin != NULL;) {
        char *end = strstr(begin, END);
        if (end == NULL) {
            break;
        }
        size_t length = (size_t)(end - begin) + sizeof END - 1;
        length += begin[length] == '\n';
        memmove(out, begin, length);
        out += length;
        begin = strstr(begin + length, BEGIN);
    }
    *out = '\0';
}

static int base64_value(char c) {
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c == '\0' ? NULL : strchr(alphabet, c);
    return found == NULL ? -1 : (int)(found - alphabet);
}

/* Decodes in place, passing over what is no base64; a NUL follows. Returns the length. */
static size_t base64_decode(char *text) {
    unsigned long bits = 0;
    int count = 0;
    char *out = text;
    for (const char *c = text; *c != '\0'; c++) {
        int value = base64_value(*c);
        if (value < 0) {
            continue;
        }
        bits = bits << 6 | (unsigned long)value;
        if ((count += 6) >= 8) {
            count -= 8;
            *out++ = (char)(bits >> count & 0xff);
        }
    }
    *out = '\0';
    return (size_t)(out - text);
}

/* What is between the first BEGIN line of a private key and its END line. */
static char *key_body(char *text) {
    char *name = strstr(text, "PRIVATE KEY-----");
    char *body = name == NULL ? NULL : strchr(name, '\n');
    if (body != NULL) {
        body[strcspn(body, "-")] = '\0';
    }
    return body;
}

bool pem_key_has(char *text, const char *part, size_t length) {
    char *inside = word_after(text, CLIENT_KEY);
    if (inside != NULL) {
        base64_decode(inside);
        text = inside;
    }
    char *body = key_body(text);
    return body != NULL && length > 0 && memmem(body, base64_decode(body), part, length) != NULL;
}
