/* Wrong passwords, by the address they come from. */
#include "failures.h"

#include <netinet/in.h>
#include <string.h>

static void address_of(const struct sockaddr *from, uint8_t address[16])
{
    const struct sockaddr_in *v4 = (const void *)from;
    const struct sockaddr_in6 *v6 = (const void *)from;

    memset(address, 0, 16);
    if (from->sa_family == AF_INET)
        memcpy(address + 12, &v4->sin_addr, 4);
    else if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        memcpy(address + 12, v6->sin6_addr.s6_addr + 12, 4);
    else
        memcpy(address, v6->sin6_addr.s6_addr, 8);
}

static struct failures_of *find(struct failures *failures, const uint8_t address[16])
{
    for (size_t i = 0; i < FAILURES_ADDRESSES; i++) {
        if (failures->all[i].until_ms != 0 && memcmp(failures->all[i].address, address, 16) == 0)
            return &failures->all[i];
    }
    return NULL;
}

static struct failures_of *make_room(struct failures *failures, const uint8_t address[16])
{
    struct failures_of *soonest = &failures->all[0];

    for (size_t i = 1; i < FAILURES_ADDRESSES; i++) {
        if (failures->all[i].until_ms < soonest->until_ms)
            soonest = &failures->all[i];
    }
    memcpy(soonest->address, address, 16);
    soonest->until_ms = 0;
    return soonest;
}

bool failures_count(struct failures *failures, const struct sockaddr *from, int64_t now_ms)
{
    struct failures_of *of;
    uint8_t address[16];

    address_of(from, address);
    of = find(failures, address);
    if (of && of->until_ms - now_ms > (FAILURES_MAX - 1) * FAILURES_EVERY_MS)
        return false;
    if (!of)
        of = make_room(failures, address);
    of->until_ms = (of->until_ms > now_ms ? of->until_ms : now_ms) + FAILURES_EVERY_MS;
    return true;
}

void failures_take_back(struct failures *failures, const struct sockaddr *from)
{
    struct failures_of *of;
    uint8_t address[16];

    address_of(from, address);
    of = find(failures, address);
    if (of)
        of->until_ms -= FAILURES_EVERY_MS;
}
