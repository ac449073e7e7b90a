package main

/*
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

// Go's runtime, its threads and SQLite reserve this much, and use hardly any of it.
#define LEAST_ADDRESS_SPACE 2000000000ULL

// A constructor runs before Go's runtime, which ends the program with pages of a
// trace where it cannot reserve its memory, on some machines before main.
__attribute__((constructor)) static void check_address_space(void) {
	struct rlimit limit;
	if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur >= LEAST_ADDRESS_SPACE)
		return;
	fprintf(stderr,
		"mailfail: the address space is limited to %llu MB (ulimit -v), and %llu MB have to be reserved: "
		"limit the memory with GOMEMLIMIT, or with MemoryMax of systemd\n",
		(unsigned long long)limit.rlim_cur / 1000000, LEAST_ADDRESS_SPACE / 1000000);
	_exit(1);
}
*/
import "C"
