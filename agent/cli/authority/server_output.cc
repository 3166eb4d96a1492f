#include "agent/cli/authority/server_output.h"

#include <cstdint>

#include <boost/json/parse.hpp>
#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include "agent/cli/authority/wire_types.h"
#include "agent/cli/output.h"
#include "base/core/check.h"
#include "base/core/clock.h"
#include "base/rpc/foreign_text.h"

namespace credence {
namespace {

/// One line of a description: what it is, padded, and its value.
class Lines {
 public:
  explicit Lines(std::size_t width) : width_(width) {}

  void Add(std::string_view name, std::string_view value) {
    text_ += fmt::format("{:<{}}: {}\n", name, width_, ForeignText(value));
  }
  void AddIf(bool there, std::string_view name, std::string_view value) {
    if (there) {
      Add(name, value);
    }
  }
  std::string Finish() { return std::move(text_); }

 private:
  std::size_t width_;
  std::string text_;
};

std::string TtlText(std::int32_t seconds) {
  return seconds == 0 ? "default" : std::to_string(seconds);
}

/// "2033-05-18 03:33:20 +0000 UTC", as Go prints a time.
std::string TimeText(std::int64_t unix_seconds) {
  const std::string time = FormatRfc3339(FromUnixSeconds(unix_seconds));
  return fmt::format("{} {} +0000 UTC", time.substr(0, 10), time.substr(11, 8));
}

}  // namespace

std::string MessageJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto written = google::protobuf::util::MessageToJsonString(message, &text, options);
  CREDENCE_CHECK(written.ok());
  return text;
}

void PrintMessageJson(const google::protobuf::Message& message) {
  CREDENCE_CHECK(PrintJsonText(MessageJson(message)).ok());
}

Result<void> PrintJsonText(const std::string& text) {
  boost::json::error_code ec;
  const boost::json::value value = boost::json::parse(text, ec);
  if (ec) {
    return Error(Code::kInternal, fmt::format("a document is no JSON: {}", ec.message()));
  }
  PrintJson(value);
  return Ok();
}

std::string DescribeEntry(const spire::api::types::Entry& entry) {
  Lines lines(24);
  lines.Add("Entry ID", entry.id().empty() ? "(none)" : entry.id());
  lines.Add("SPIFFE ID", TextOf(entry.spiffe_id()));
  lines.Add("Parent ID", TextOf(entry.parent_id()));
  lines.Add("Revision", std::to_string(entry.revision_number()));
  lines.AddIf(entry.downstream(), "Downstream", "true");
  lines.Add("X509-SVID TTL", TtlText(entry.x509_svid_ttl()));
  lines.Add("JWT-SVID TTL", TtlText(entry.jwt_svid_ttl()));
  lines.AddIf(entry.expires_at() != 0, "Expiration time", TimeText(entry.expires_at()));
  for (const auto& selector : entry.selectors()) {
    lines.Add("Selector", selector.type() + ":" + selector.value());
  }
  for (const std::string& name : entry.federates_with()) {
    lines.Add("FederatesWith", name);
  }
  for (const std::string& name : entry.dns_names()) {
    lines.Add("DNS name", name);
  }
  lines.AddIf(entry.admin(), "Admin", "true");
  lines.AddIf(entry.store_svid(), "StoreSvid", "true");
  lines.AddIf(!entry.hint().empty(), "Hint", entry.hint());
  const auto& more = entry.additional_attributes();
  lines.AddIf(more.disable_x509_svid_prefetch(), "DisableX509SvidPrefetch", "true");
  lines.AddIf(more.jwt_svid_include_jti(), "JwtSvidIncludeJti", "true");
  return lines.Finish();
}

std::string DescribeAgent(const spire::api::types::Agent& agent) {
  Lines lines(18);
  lines.Add("SPIFFE ID", TextOf(agent.id()));
  lines.Add("Attestation type", agent.attestation_type());
  lines.Add("Expiration time", TimeText(agent.x509svid_expires_at()));
  if (agent.banned()) {
    lines.Add("Banned", "true");
  } else {
    lines.Add("Serial number", agent.x509svid_serial_number());
  }
  lines.Add("Can re-attest", agent.can_reattest() ? "true" : "false");
  lines.AddIf(!agent.agent_version().empty(), "Agent version", agent.agent_version());
  return lines.Finish();
}

std::string GoCodeName(int code) {
  std::string name;
  bool starts_word = true;
  for (const char c : CodeName(static_cast<Code>(code))) {
    if (c == '_') {
      starts_word = true;
      continue;
    }
    name += starts_word ? c : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    starts_word = false;
  }
  return name;
}

std::string Counted(std::size_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

}  // namespace credence
