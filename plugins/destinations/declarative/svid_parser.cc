#include "plugins/destinations/declarative/svid_parser.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <string_view>

#include "plugins/destinations/declarative/settings_parser.h"

namespace credence {
namespace {

constexpr std::int64_t kMaxLifetimeSeconds = 31'622'400;

/// Source: JWT-SVID section 2.2; RFC 7518 section 3.1.
constexpr std::array<std::string_view, 9> kAlgorithms = {
    "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"};

std::string ReadAlgorithm(FileReader& reader, const YamlNode& node) {
  std::string name = reader.Text(node);
  if (std::find(kAlgorithms.begin(), kAlgorithms.end(), name) == kAlgorithms.end()) {
    reader.Fail(node, "expected an algorithm of JWT-SVIDs such as RS256 or ES256");
  }
  return name;
}

}  // namespace

void ReadSvid(FileReader& reader, const YamlNode& root, AdapterFile& file) {
  const YamlNode* svid = reader.Require(root, "svid");
  if (svid == nullptr ||
      !reader.IsMap(*svid,
                    {"audience", "max_bytes", "max_lifetime", "algorithms", "issuer_required"})) {
    return;
  }
  const YamlNode* audience = reader.Require(*svid, "audience");
  if (audience != nullptr && reader.IsSequence(*audience)) {
    for (const YamlNode& item : audience->items) {
      file.audience.push_back(
          reader.Template(item, NamesOf(file.settings), FileReader::Secrets::kRefused));
    }
    if (audience->items.empty()) {
      reader.Fail(*audience, "expected at least one audience");
    }
  }
  if (const YamlNode* bytes = FileReader::Find(*svid, "max_bytes"); bytes != nullptr) {
    file.max_svid_bytes = static_cast<std::size_t>(reader.Integer(*bytes, 1024, 65536));
  }
  if (const YamlNode* lifetime = FileReader::Find(*svid, "max_lifetime"); lifetime != nullptr) {
    file.max_svid_lifetime =
        std::chrono::seconds(reader.Integer(*lifetime, 1, kMaxLifetimeSeconds));
  }
  if (const YamlNode* algorithms = FileReader::Find(*svid, "algorithms");
      algorithms != nullptr && reader.IsSequence(*algorithms)) {
    for (const YamlNode& item : algorithms->items) {
      file.svid_algorithms.push_back(ReadAlgorithm(reader, item));
    }
  }
  if (const YamlNode* required = FileReader::Find(*svid, "issuer_required"); required != nullptr) {
    file.svid_issuer_required = reader.Boolean(*required);
  }
}

}  // namespace credence
