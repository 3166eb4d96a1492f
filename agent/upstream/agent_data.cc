#include "agent/upstream/agent_data.h"

#include <filesystem>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "base/core/file.h"
#include "base/crypto/certificate.h"
#include "base/crypto/digest.h"

namespace credence {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxFileBytes = std::size_t{8} << 20;
constexpr mode_t kFolderMode = 0750;
constexpr mode_t kFileMode = 0600;

Error Damaged(std::string_view what) {
  return Error(Code::kDataLoss, std::string(what));
}

/// A list of base64 of PEM, one certificate or more each; null and absent are empty.
Result<std::vector<std::string>> ReadCertificates(const json::object& object,
                                                  std::string_view name) {
  std::vector<std::string> certificates;
  const auto* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) {
    return certificates;
  }
  const auto* list = value->if_array();
  if (list == nullptr) {
    return Damaged(fmt::format("\"{}\" is not a list", name));
  }
  for (const auto& item : *list) {
    const auto* text = item.if_string();
    auto pem = text == nullptr ? Result<std::string>() : Base64Decode(std::string_view(*text));
    if (!pem.ok()) {
      return Damaged(fmt::format("\"{}\" holds something other than base64", name));
    }
    auto found = CertificatesFromPem(*pem);
    if (!found.ok()) {
      return Damaged(fmt::format("\"{}\": {}", name, found.error().message()));
    }
    certificates.insert(certificates.end(),
                        std::make_move_iterator(found->begin()),
                        std::make_move_iterator(found->end()));
  }
  return certificates;
}

json::array WriteCertificates(const std::vector<std::string>& certificates) {
  json::array list;
  for (const auto& certificate : certificates) {
    list.emplace_back(Base64Encode(CertificateToPem(certificate)));
  }
  return list;
}

}  // namespace

std::string AgentDataPath(const std::string& data_dir) {
  return std::filesystem::path(data_dir) / "agent-data.json";
}

Result<AgentData> ParseAgentData(std::string_view content) {
  boost::system::error_code failed;
  auto document = json::parse(content, failed);
  auto* object = failed ? nullptr : document.if_object();
  if (object == nullptr) {
    return Damaged("not a JSON object");
  }
  AgentData data;
  auto chain = ReadCertificates(*object, "svid");
  if (!chain.ok()) {
    return std::move(chain).error();
  }
  auto bundle = ReadCertificates(*object, "bundle");
  if (!bundle.ok()) {
    return std::move(bundle).error();
  }
  data.svid_chain = *std::move(chain);
  data.bundle = *std::move(bundle);
  if (const auto* value = object->if_contains("reattestable");
      value != nullptr && !value->is_null()) {
    if (!value->is_bool()) {
      return Damaged("\"reattestable\" is not a boolean");
    }
    data.reattestable = value->get_bool();
  }
  for (const std::string_view name : {"svid", "bundle", "reattestable"}) {
    object->erase(name);
  }
  data.others = std::move(*object);
  return data;
}

std::string FormatAgentData(const AgentData& data) {
  json::object object = data.others;
  object["svid"] = WriteCertificates(data.svid_chain);
  object["bundle"] = WriteCertificates(data.bundle);
  object["reattestable"] = data.reattestable;
  return json::serialize(object);
}

Result<AgentData> LoadAgentData(const std::string& data_dir) {
  const auto path = AgentDataPath(data_dir);
  auto content = ReadFile(path, kMaxFileBytes);
  if (!content.ok()) {
    return content.error().code() == Code::kNotFound ? Result<AgentData>(AgentData())
                                                     : std::move(content).error();
  }
  auto data = ParseAgentData(*content);
  if (!data.ok()) {
    return std::move(data).error().Wrap(path);
  }
  return data;
}

Result<void> StoreAgentData(const std::string& data_dir, const AgentData& data) {
  if (auto made = MakeDirectories(data_dir, kFolderMode); !made.ok()) {
    return made;
  }
  return WriteFileAtomically(AgentDataPath(data_dir), FormatAgentData(data), kFileMode);
}

}  // namespace credence
