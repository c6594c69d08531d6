#include "../wire/sum_bytes.h"

#include <cstring>

namespace weft {

namespace {

uint64_t AddWithCarry(uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;
  return sum + (sum < a);  // end around
}

// Words of 32 bits in sums of 64: no carry is lost before 2^32 words.
uint64_t SumPortable(const uint8_t* data, uint32_t length) {
  uint64_t sums[4] = {};
  while (length >= 16) {
    uint32_t words[4];
    memcpy(words, data, sizeof(words));
    for (int i = 0; i < 4; i++) sums[i] += words[i];
    data += 16;
    length -= 16;
  }
  uint64_t tail[2] = {};
  memcpy(tail, data, length);
  uint64_t sum = AddWithCarry(tail[0], tail[1]);
  for (const uint64_t one : sums) sum = AddWithCarry(sum, one);
  return sum;
}

#if defined(__x86_64__)

// Words of 64 bits by their halves, the low ones and the high ones, in sums of 64 bits each. The
// body is the same for each width; the target attribute of who inlines it decides the instructions.
template <typename Vector>
[[gnu::always_inline]] inline uint64_t SumVectors(const uint8_t* data, uint32_t length) {
  constexpr uint32_t kWidth = sizeof(Vector);
  Vector low = {};
  Vector high = {};
  while (length >= 2 * kWidth) {
    Vector x;
    Vector y;
    memcpy(&x, data, kWidth);
    memcpy(&y, data + kWidth, kWidth);
    low += (x & 0xffffffff) + (y & 0xffffffff);
    high += (x >> 32) + (y >> 32);
    data += 2 * kWidth;
    length -= 2 * kWidth;
  }
  uint64_t sum = SumPortable(data, length);
  for (uint32_t i = 0; i < kWidth / 8; i++) {
    sum = AddWithCarry(AddWithCarry(sum, low[i]), high[i]);
  }
  return sum;
}

using Vector256 = uint64_t __attribute__((vector_size(32)));
using Vector512 = uint64_t __attribute__((vector_size(64)));

__attribute__((target("avx2"))) uint64_t SumAvx2(const uint8_t* data, uint32_t length) {
  return SumVectors<Vector256>(data, length);
}

__attribute__((target("avx512f"))) uint64_t SumAvx512(const uint8_t* data, uint32_t length) {
  return SumVectors<Vector512>(data, length);
}

#endif

SumImplementations Choose() {
  SumImplementations found{{{"portable", SumPortable}}, 1};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) found.list[found.count++] = {"avx2", SumAvx2};
  if (__builtin_cpu_supports("avx512f")) {
    found.list[found.count++] = {"avx512", SumAvx512};
  }
#endif
  return found;
}

const SumImplementations kAvailable = Choose();
const SumBytes kFastest = kAvailable.list[kAvailable.count - 1].sum;

}  // namespace

const SumImplementations& AvailableSums() { return kAvailable; }

uint64_t SumOfBytes(const uint8_t* data, uint32_t length) {
  // Headers are summed word by word: a call through a pointer costs more than they do.
  return length < 64 ? SumPortable(data, length) : kFastest(data, length);
}

}  // namespace weft
