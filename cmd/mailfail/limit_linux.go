package main

/*
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

// Go's runtime, its threads and SQLite reserve this much, and use hardly any of it.
#define LEAST_ADDRESS_SPACE 2000000000ULL

// Go's runtime and the database need some files.
#define LEAST_FILES 8

// Constructors run before Go's runtime, which ends the program with pages of a trace where
// it cannot reserve its memory, on some machines before main, or open its files.
__attribute__((constructor)) static void check_files(void) {
	int spare[LEAST_FILES], n = 0;
	while (n < LEAST_FILES && (spare[n] = dup(2)) >= 0)
		n++;
	int few = n < LEAST_FILES && errno == EMFILE;
	while (n > 0)
		close(spare[--n]);
	if (!few)
		return;
	fprintf(stderr, "mailfail: too many open files: raise the limit (ulimit -n, LimitNOFILE)\n");
	_exit(1);
}

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
