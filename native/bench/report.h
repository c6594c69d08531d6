// The one JSON object that each verb of weft-flood prints at its end.
#ifndef WEFT_BENCH_REPORT_H_
#define WEFT_BENCH_REPORT_H_

#include <cstdint>
#include <string>

#include "latency_histogram.h"

namespace weft {

class Report {
 public:
  explicit Report(const char* verb) { AddText("verb", verb); }

  // Names and texts are our own: nothing in them has to be escaped.
  void Add(const char* name, uint64_t value) { AddRaw(name, std::to_string(value)); }
  void AddNumber(const char* name, double value);
  void AddText(const char* name, const char* value) {
    AddRaw(name, '"' + std::string(value) + '"');
  }
  // As an object of microseconds: min, mean, p50, p90, p99, p999, max.
  void AddLatency(const char* name, const LatencyHistogram& histogram);

  void Print() const;

 private:
  void AddRaw(const char* name, const std::string& value);

  std::string fields_;
};

}  // namespace weft

#endif  // WEFT_BENCH_REPORT_H_
