/* Certificates of the tool openssl, with keys that cost little. */
#include "certificates.h"

#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>

/* `extra`: further arguments. The tool's own configuration, which differs between machines, is kept out. */
static void make(const char *dir, const char *name, const char *extra)
{
    char line[1024];

    snprintf(line, sizeof(line),
             "cd %s && openssl req -config /dev/null -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
             "-days 2 -keyout %s.key -out %s.pem -subj /CN=%s %s 2>openssl.log",
             dir, name, name, name, extra);
    if (system(line) != 0)
        fail_msg("%s", line);
}

void certificates_authority(const char *dir, const char *name)
{
    make(dir, name, "-addext basicConstraints=critical,CA:TRUE");
}

void certificates_issue(const char *dir, const char *authority, const char *name, const char *alternatives)
{
    char extra[256];

    snprintf(extra, sizeof(extra), "-CA %s.pem -CAkey %s.key -addext subjectAltName=%s", authority, authority,
             alternatives);
    make(dir, name, extra);
}
