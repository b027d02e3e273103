/* Read before every C source of ring in a release build; scripts/build-static says so.
 *
 * ring multiplies the generator of P-256 with the help of a table of 148 KiB that no compression makes smaller.
 * Here the generator goes through the multiplication for any other point, with ring's own code and in constant time,
 * and the linker drops the table with the functions that read it.
 * A wrong number below would make every handshake and signature with P-256 fail; none would pass that should not.
 */
#ifndef __ASSEMBLER__
#include <ring-core/base.h>

#if defined(__x86_64__) || defined(__aarch64__)
void p256_point_mul(uint64_t r[3][4], const uint64_t scalar[4], const uint64_t x[4],
                    const uint64_t y[4]);
void p256_point_mul_base(uint64_t r[3][4], const uint64_t scalar[4]);
void p256_point_mul_base_vartime(uint64_t r[3][4], const uint64_t scalar[4]);

/* The generator, times 2^256 modulo the prime, as the multiplication expects it. Weak, for every source holds a copy. */
__attribute__((weak)) void p256_point_mul_base(uint64_t r[3][4], const uint64_t scalar[4]) {
  static const uint64_t x[4] = {0x79e730d418a9143c, 0x75ba95fc5fedb601, 0x79fb732b77622510, 0x18905f76a53755c6};
  static const uint64_t y[4] = {0xddf25357ce95560a, 0x8b4ab8e4ba19e45c, 0xd2e88688dd21f325, 0x8571ff1825885d85};
  p256_point_mul(r, scalar, x, y);
}

__attribute__((weak)) void p256_point_mul_base_vartime(uint64_t r[3][4], const uint64_t scalar[4]) {
  p256_point_mul_base(r, scalar);
}

/* What ring defines under these names from here on goes by others, which nothing calls. */
#undef p256_point_mul_base
#define p256_point_mul_base p256_point_mul_base_by_table
#undef p256_point_mul_base_vartime
#define p256_point_mul_base_vartime p256_point_mul_base_vartime_by_table
#endif
#endif
