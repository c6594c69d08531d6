#include "report.h"

#include <cstdio>

namespace weft {

namespace {

std::string Decimal(double value) {
  char text[64];
  snprintf(text, sizeof(text), "%.3f", value);
  return text;
}

std::string Us(uint64_t ns) { return Decimal(static_cast<double>(ns) / 1e3); }

}  // namespace

void Report::AddNumber(const char* name, double value) { AddRaw(name, Decimal(value)); }

void Report::AddLatency(const char* name, const LatencyHistogram& histogram) {
  AddRaw(name, "{\"min\":" + Us(histogram.min()) + ",\"mean\":" + Us(histogram.mean()) +
                   ",\"p50\":" + Us(histogram.Percentile(0.5)) + ",\"p90\":" +
                   Us(histogram.Percentile(0.9)) + ",\"p99\":" + Us(histogram.Percentile(0.99)) +
                   ",\"p999\":" + Us(histogram.Percentile(0.999)) +
                   ",\"max\":" + Us(histogram.max()) + '}');
}

void Report::Print() const {
  printf("{%s}\n", fields_.c_str());
  fflush(stdout);
}

void Report::AddRaw(const char* name, const std::string& value) {
  if (!fields_.empty()) fields_ += ',';
  fields_ += '"' + std::string(name) + "\":" + value;
}

}  // namespace weft
