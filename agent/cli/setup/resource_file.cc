#include "agent/cli/setup/resource_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "agent/config/resource_files.h"
#include "agent/config/resource_reader.h"
#include "base/core/file.h"
#include "base/core/unique_fd.h"

namespace credence {
namespace {

constexpr mode_t kReadable = 0644;

/// As JSON writes it, which YAML reads as the same text.
std::string Quoted(const std::string& text) {
  return boost::json::serialize(boost::json::string_view(text));
}

/// The last part of the SPIFFE ID as part of a resource's name: lower-case letters, digits, inner
/// dashes.
std::string WorkloadSlug(const std::string& spiffe_id) {
  constexpr std::size_t kMost = 20;
  std::string slug;
  for (const char c : spiffe_id.substr(spiffe_id.rfind('/') + 1)) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool plain = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (plain) {
      slug += upper ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (!slug.empty() && slug.back() != '-') {
      slug += '-';
    }
  }
  slug = slug.substr(0, kMost);
  while (!slug.empty() && slug.back() == '-') {
    slug.pop_back();
  }
  return slug.empty() ? "workload" : slug;
}

std::string GrantName(const NewResources& resources) {
  constexpr std::size_t kMost = 63;
  return (WorkloadSlug(resources.spiffe_id) + "-to-" + resources.name).substr(0, kMost);
}

}  // namespace

std::string ResourceYaml(const NewResources& resources) {
  std::string settings;
  for (const auto& [name, value] : resources.settings) {
    settings += fmt::format("    {}: {}\n", Quoted(name), Quoted(value));
  }
  std::string selectors;
  for (const std::string& selector : resources.selectors) {
    selectors += fmt::format("      - {}\n", Quoted(selector));
  }
  return fmt::format(
      "# By `credence setup {}`.\n"
      "apiVersion: credence/v1\n"
      "kind: Destination\n"
      "metadata: {{name: {}}}\n"
      "spec:\n"
      "  adapter: {}\n"
      "{}{}"
      "---\n"
      "apiVersion: credence/v1\n"
      "kind: Grant\n"
      "metadata: {{name: {}}}\n"
      "spec:\n"
      "  subject:\n"
      "    spiffe_id: {}\n"
      "{}{}"
      "  destination: {}\n",
      resources.adapter,
      Quoted(resources.name),
      Quoted(resources.adapter),
      settings.empty() ? "" : "  settings:\n",
      settings,
      Quoted(GrantName(resources)),
      Quoted(resources.spiffe_id),
      selectors.empty() ? "" : "    selectors:\n",
      selectors,
      Quoted(resources.name));
}

std::vector<ConfigMistake> CheckResourceFile(const std::string& folder,
                                             const std::string& path,
                                             const std::string& text,
                                             const AdapterList& adapters) {
  ResourceReader reader(adapters);
  const auto files = ListResourceFiles(folder);
  if (!files.ok()) {
    reader.Refuse(folder, files.error().message());
    return reader.Finish().mistakes;
  }
  const auto replaced = std::filesystem::path(path).lexically_normal();
  for (const std::string& file : *files) {
    if (std::filesystem::path(file).lexically_normal() == replaced) {
      continue;
    }
    const auto other = ReadResourceFile(file);
    if (other.ok()) {
      reader.Read(*other, file);
    } else {
      reader.Refuse(file, other.error().message());
    }
  }
  reader.Read(text, path);
  return reader.Finish().mistakes;
}

Result<void> WriteResourceFile(const std::string& path, const std::string& text, bool replace) {
  if (!replace) {
    // Takes the name, so that no file that comes meanwhile is overwritten.
    const UniqueFd taken(
        open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kReadable));
    if (!taken.valid()) {
      return Error(CodeFromErrno(errno), fmt::format("create {}: {}", path, ErrnoText(errno)));
    }
  }
  auto written = WriteFileAtomically(path, text, kReadable);
  if (!written.ok() && !replace) {
    unlink(path.c_str());
  }
  return written;
}

}  // namespace credence
