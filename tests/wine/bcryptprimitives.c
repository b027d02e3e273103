/* Random bytes by the name that Rust's standard library asks Windows for them, which wine has from version 9 on only.
   For the tests under an older wine; no program that leaves this machine holds it. */
#include <stddef.h>

__declspec(dllimport) unsigned char __stdcall SystemFunction036(void *bytes, unsigned long count);

__declspec(dllexport) int __stdcall ProcessPrng(unsigned char *bytes, size_t count) {
    return SystemFunction036(bytes, (unsigned long)count);
}

int __stdcall DllMainCRTStartup(void *module, unsigned long reason, void *reserved) {
    return 1;
}
