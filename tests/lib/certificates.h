/* Throw-away authorities and certificates for tests of TLS: PEM files, made by the tool openssl. */
#ifndef TEST_CERTIFICATES_H
#define TEST_CERTIFICATES_H

/* An authority: <dir>/<name>.pem and <dir>/<name>.key. */
void certificates_authority(const char *dir, const char *name);
/* A certificate of it, with the CN `name`, for the names and addresses `alternatives`, such as "IP:127.0.0.1,DNS:localhost". */
void certificates_issue(const char *dir, const char *authority, const char *name, const char *alternatives);

#endif
