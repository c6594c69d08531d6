// weft-flood: sends, receives and connects for the benchmark and the tests; README.md is the
// contract.
#include <csignal>
#include <cstdio>
#include <cstring>

#include "accepter.h"
#include "address.h"
#include "arguments.h"
#include "connector.h"
#include "failure.h"
#include "probe.h"
#include "sender.h"
#include "sink.h"

namespace weft {

volatile sig_atomic_t stop_asked = 0;

namespace {

constexpr char kUsageText[] =
    "usage: weft-flood send --to IP --port P (--seconds S | --packets N) [--bytes PAYLOAD]\n"
    "                  [--rate PPS|max] [--flows F] [--burst B] [--wait-ms T] [--progress]\n"
    "       weft-flood sink --port P [--idle-ms T] [--wait-ms T] [--most-ms T] [--expect-flows F]\n"
    "                  [--progress]\n"
    "       weft-flood connect --to IP --port P --seconds S [--concurrency C] [--listeners N]\n"
    "                  [--wait-ms T]\n"
    "       weft-flood accept --port P [--idle-ms T] [--wait-ms T] [--most-ms T]\n";

constexpr double kMostSeconds = 86'400;
constexpr uint64_t kMostMs = 86'400'000;
constexpr double kMostRate = 1e8;

int Usage() {
  fputs(kUsageText, stderr);
  return kUsage;
}

// 0 when there is none, which nothing can use.
uint16_t Port(Arguments* arguments) {
  return static_cast<uint16_t>(arguments->Whole("--port", 1, 65535, 0));
}

bool Destination(Arguments* arguments, uint16_t port, Address* address) {
  const char* text = arguments->Text("--to", nullptr);
  return text != nullptr && port != 0 && ParseAddress(text, port, address);
}

// 0 stands for max.
double Rate(Arguments* arguments, char* const* argv) {
  for (int i = 0; argv[i] != nullptr && argv[i + 1] != nullptr; i++) {
    if (strcmp(argv[i], "--rate") != 0 || strcmp(argv[i + 1], "max") != 0) continue;
    arguments->Text("--rate", nullptr);
    return 0;
  }
  return arguments->Number("--rate", 0.001, kMostRate, 0);
}

int RunSend(char* const* argv) {
  Arguments arguments(argv);
  SendOptions options;
  const bool destined = Destination(&arguments, Port(&arguments), &options.to);
  options.bytes = arguments.Whole("--bytes", kMinProbe, kMaxProbe, options.bytes);
  options.rate = Rate(&arguments, argv);
  options.seconds = arguments.Number("--seconds", 0.001, kMostSeconds, 0);
  options.packets = arguments.Whole("--packets", 1, UINT64_MAX, 0);
  options.flows = static_cast<uint32_t>(arguments.Whole("--flows", 1, 4096, options.flows));
  options.burst = static_cast<uint32_t>(arguments.Whole("--burst", 1, 1024, options.burst));
  options.wait_ms = arguments.Whole("--wait-ms", 1, kMostMs, options.wait_ms);
  options.progress = arguments.Flag("--progress");
  const bool bounded = options.seconds > 0 || options.packets > 0;
  if (!arguments.Understood() || !destined || !bounded) return Usage();
  return Sender(options).Run();
}

int RunSink(char* const* argv) {
  Arguments arguments(argv);
  SinkOptions options;
  options.port = Port(&arguments);
  options.idle_ms = arguments.Whole("--idle-ms", 1, kMostMs, options.idle_ms);
  options.wait_ms = arguments.Whole("--wait-ms", 1, kMostMs, options.wait_ms);
  options.most_ms = arguments.Whole("--most-ms", 1, kMostMs, options.most_ms);
  options.expect_flows = static_cast<uint32_t>(arguments.Whole("--expect-flows", 1, 4096, 0));
  options.progress = arguments.Flag("--progress");
  if (!arguments.Understood() || options.port == 0) return Usage();
  return Sink(options).Run();
}

int RunConnect(char* const* argv) {
  Arguments arguments(argv);
  ConnectOptions options;
  const bool destined = Destination(&arguments, Port(&arguments), &options.to);
  options.seconds = arguments.Number("--seconds", 0.001, kMostSeconds, 0);
  options.concurrency =
      static_cast<uint32_t>(arguments.Whole("--concurrency", 1, 4096, options.concurrency));
  options.listeners =
      static_cast<uint32_t>(arguments.Whole("--listeners", 1, 4096, options.listeners));
  options.wait_ms = arguments.Whole("--wait-ms", 1, kMostMs, options.wait_ms);
  if (!arguments.Understood() || !destined || options.seconds == 0) return Usage();
  return Connector(options).Run();
}

int RunAccept(char* const* argv) {
  Arguments arguments(argv);
  AcceptOptions options;
  options.port = Port(&arguments);
  options.idle_ms = arguments.Whole("--idle-ms", 1, kMostMs, options.idle_ms);
  options.wait_ms = arguments.Whole("--wait-ms", 1, kMostMs, options.wait_ms);
  options.most_ms = arguments.Whole("--most-ms", 1, kMostMs, options.most_ms);
  if (!arguments.Understood() || options.port == 0) return Usage();
  return Accepter(options).Run();
}

void StopOn(int number) {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_asked = 1; };
  sigaction(number, &action, nullptr);  // without SA_RESTART: what waits wakes up
}

int Main(int argc, char* const* argv) {
  if (argc < 2) return Usage();
  StopOn(SIGINT);
  StopOn(SIGTERM);
  const char* verb = argv[1];
  if (strcmp(verb, "send") == 0) return RunSend(argv + 2);
  if (strcmp(verb, "sink") == 0) return RunSink(argv + 2);
  if (strcmp(verb, "connect") == 0) return RunConnect(argv + 2);
  if (strcmp(verb, "accept") == 0) return RunAccept(argv + 2);
  return Usage();
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) { return weft::Main(argc, argv); }
