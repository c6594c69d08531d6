#include "arguments.h"

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace weft {

bool Arguments::Flag(const char* name) {
  for (int i = 0; i < kMostWords && argv_[i] != nullptr; i++) {
    if (strcmp(argv_[i], name) != 0) continue;
    taken_[i] = true;
    return true;
  }
  return false;
}

const char* Arguments::Text(const char* name, const char* otherwise) {
  const char* value = Take(name);
  return value == nullptr ? otherwise : value;
}

double Arguments::Number(const char* name, double least, double most, double otherwise) {
  const char* value = Take(name);
  if (value == nullptr) return otherwise;
  char* end;
  const double number = strtod(value, &end);
  if (*value != '\0' && *end == '\0' && std::isfinite(number) && number >= least &&
      number <= most) {
    return number;
  }
  Complain(name, value);
  return otherwise;
}

uint64_t Arguments::Whole(const char* name, uint64_t least, uint64_t most, uint64_t otherwise) {
  const char* value = Take(name);
  if (value == nullptr) return otherwise;
  char* end;
  errno = 0;
  const unsigned long long number = strtoull(value, &end, 10);
  if (value[0] >= '0' && value[0] <= '9' && *end == '\0' && errno == 0 && number >= least &&
      number <= most) {
    return number;
  }
  Complain(name, value);
  return otherwise;
}

bool Arguments::Understood() const {
  for (int i = 0; argv_[i] != nullptr; i++) {
    if (i < kMostWords && taken_[i]) continue;
    fprintf(stderr, "weft-flood: '%s' is not understood here\n", argv_[i]);
    return false;
  }
  return !wrong_;
}

const char* Arguments::Take(const char* name) {
  for (int i = 0; i + 1 < kMostWords && argv_[i] != nullptr; i++) {
    if (taken_[i] || strcmp(argv_[i], name) != 0 || argv_[i + 1] == nullptr) continue;
    taken_[i] = taken_[i + 1] = true;
    return argv_[i + 1];
  }
  return nullptr;
}

void Arguments::Complain(const char* name, const char* value) {
  fprintf(stderr, "weft-flood: %s %s: no number, or out of bounds\n", name, value);
  wrong_ = true;
}

}  // namespace weft
