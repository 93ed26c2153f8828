/* Shifts the time of day that one process reads, for the drill F26. Loaded in front of the C library by LD_PRELOAD.
   Only clock_gettime(CLOCK_REALTIME) is shifted: that is what Rust asks. Whoever waits on other clocks is left alone. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    long failed = syscall(SYS_clock_gettime, clock, now);
    const char *offset = getenv("DRILL_CLOCK_OFFSET_S");
    if (failed == 0 && clock == CLOCK_REALTIME && offset != NULL)
        now->tv_sec += atol(offset);
    return (int)failed;
}
