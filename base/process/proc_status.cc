#include "base/process/proc_status.h"

#include <charconv>
#include <cstddef>
#include <optional>

#include <fmt/format.h>

namespace credence {
namespace {

/// What follows "\n`key`:" up to the end of that line.
std::optional<std::string_view> LineValue(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(fmt::format("\n{}:", key));
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view rest = text.substr(at + 1 + key.size() + 1);
  return rest.substr(0, rest.find('\n'));
}

/// All numbers of a line separated by blanks; nullopt if anything else is there.
std::optional<std::vector<std::uint32_t>> Numbers(std::string_view line) {
  std::vector<std::uint32_t> numbers;
  const char* at = line.data();
  const char* const end = line.data() + line.size();
  while (true) {
    while (at != end && (*at == ' ' || *at == '\t')) {
      ++at;
    }
    if (at == end) {
      return numbers;
    }
    std::uint32_t number = 0;
    const auto parsed = std::from_chars(at, end, number);
    if (parsed.ec != std::errc{}) {
      return std::nullopt;
    }
    numbers.push_back(number);
    at = parsed.ptr;
  }
}

/// The second of the four ids (real, effective, saved, file system) of "Uid:" or "Gid:".
Result<std::uint32_t> EffectiveId(std::string_view text, std::string_view key) {
  constexpr std::size_t kIds = 4;
  const auto line = LineValue(text, key);
  const auto ids = line ? Numbers(*line) : std::nullopt;
  if (!ids || ids->size() != kIds) {
    return Error(Code::kInternal, fmt::format("status has no {} line with four ids", key));
  }
  return (*ids)[1];
}

}  // namespace

Result<ProcStatus> ParseProcStatus(std::string_view text) {
  const auto uid = EffectiveId(text, "Uid");
  if (!uid.ok()) {
    return uid.error();
  }
  const auto gid = EffectiveId(text, "Gid");
  if (!gid.ok()) {
    return gid.error();
  }
  const auto line = LineValue(text, "Groups");
  auto groups = line ? Numbers(*line) : std::nullopt;
  if (!groups) {
    return Error(Code::kInternal, "status has no Groups line with numbers");
  }
  return ProcStatus{*uid, *gid, *std::move(groups)};
}

}  // namespace credence
