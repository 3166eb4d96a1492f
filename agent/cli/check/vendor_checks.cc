#include "agent/cli/check/vendor_checks.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/cli/check/network.h"
#include "base/http/url.h"

namespace credence {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
/// What vendors allow, such as the Claude API.
constexpr std::chrono::seconds kMostSkew{30};
constexpr std::size_t kMaxPageBytes = std::size_t{1} << 20;
constexpr std::array<const char*, 4> kSteps = {"host", "connection", "tls", "clock"};

/// The steps from `first` on were not reached.
void SkipFrom(std::size_t first, std::vector<Finding>& findings) {
  for (std::size_t i = first; i < kSteps.size(); ++i) {
    findings.push_back(Skipped(kSteps[i], fmt::format("needs \"{}\"", findings[first - 1].check)));
  }
}

Finding CompareClocks(std::string_view date, WallTime before, WallTime after) {
  const auto theirs = ParseDateHeader(date);
  if (!theirs) {
    return Skipped("clock", "the vendor's answer has no Date");
  }
  // Theirs is cut to the second and from some time between the two.
  const WallTime ours = before + (after - before) / 2;
  const auto ahead = std::chrono::duration_cast<std::chrono::seconds>(ours - *theirs);
  if (std::chrono::abs(ahead) <= kMostSkew) {
    return Passed("clock",
                  fmt::format("{} s apart from the vendor's", std::chrono::abs(ahead).count()));
  }
  return Failed("clock",
                fmt::format("this machine's is {} s {} the vendor's, where {} s are too much",
                            std::chrono::abs(ahead).count(),
                            ahead.count() > 0 ? "ahead of" : "behind",
                            kMostSkew.count()),
                "set the clock of this machine: timedatectl set-ntp true");
}

void CheckAnswer(const HttpUrl& url,
                 const std::string& ca_file,
                 const Clock& clock,
                 std::chrono::milliseconds timeout,
                 std::vector<Finding>& findings) {
  const WallTime before = clock.Now();
  const HttpOutcome outcome = GetNow(url, ca_file, kMaxPageBytes, timeout);
  const WallTime after = clock.Now();
  constexpr std::size_t kClockStep = 3;
  if (url.scheme == UrlScheme::kHttp) {
    findings.push_back(Passed("tls", "not needed to this machine"));
  } else if (!outcome.response.ok() && outcome.fate == RequestFate::kNotSent) {
    findings.push_back(Failed(
        "tls",
        outcome.response.error().message(),
        ca_file.empty() ? "set ca_file of the destination if its certificate is of a private CA"
                        : fmt::format("the destination's ca_file {} has to hold the root of its "
                                      "certificate, readable for this user as well",
                                      ca_file)));
    SkipFrom(kClockStep, findings);
    return;
  } else {
    findings.push_back(Passed("tls", fmt::format("certificate for {}", url.host)));
  }
  findings.push_back(
      outcome.response.ok()
          ? CompareClocks(outcome.response->FindHeader("date"), before, after)
          : Skipped("clock",
                    "the vendor's answer is of no use: " + outcome.response.error().message()));
}

}  // namespace

std::optional<WallTime> ParseDateHeader(std::string_view text) {
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT") {
    return std::nullopt;
  }
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  if (month == kMonths.end()) {
    return std::nullopt;
  }
  const auto time = ParseTime(fmt::format("{}-{:02}-{}T{}Z",
                                          text.substr(12, 4),
                                          month - kMonths.begin() + 1,
                                          text.substr(5, 2),
                                          text.substr(17, 8)));
  return time.ok() ? std::optional<WallTime>(*time) : std::nullopt;
}

std::vector<Finding> CheckVendor(const std::string& origin,
                                 const std::string& ca_file,
                                 const Clock& clock,
                                 std::chrono::milliseconds timeout) {
  std::vector<Finding> findings;
  const auto url = ParseHttpUrl(origin);
  if (!url.ok()) {
    findings.push_back(Skipped(kSteps[0], "the adapter does not say where the destination is"));
    SkipFrom(1, findings);
    return findings;
  }
  const auto endpoints = ResolveNow(*url, timeout);
  if (!endpoints.ok()) {
    findings.push_back(Failed(kSteps[0],
                              fmt::format("{}: {}", url->host, endpoints.error().message()),
                              "correct the destination's URL, or this machine's name servers"));
    SkipFrom(1, findings);
    return findings;
  }
  std::vector<std::string> addresses;
  for (const auto& endpoint : *endpoints) {
    addresses.push_back(endpoint.address().to_string());
  }
  findings.push_back(
      Passed(kSteps[0], fmt::format("{} is {}", url->host, fmt::join(addresses, ", "))));
  const auto connected = ConnectNow(*endpoints, timeout);
  if (!connected.ok()) {
    findings.push_back(
        Failed(kSteps[1],
               fmt::format("{}: {}", url->Authority(), connected.error().message()),
               "start the server, or let the firewall pass TCP to it; proxies are not used"));
    SkipFrom(2, findings);
    return findings;
  }
  findings.push_back(Passed(
      kSteps[1],
      fmt::format(
          "{} port {} takes connections", connected->address().to_string(), connected->port())));
  CheckAnswer(*url, ca_file, clock, timeout, findings);
  return findings;
}

}  // namespace credence
