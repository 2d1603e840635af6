// Asks SavedModels without Python: what TensorFlow Serving does, by the loader that it uses.
//
//   ask_saved_models OPS.so... -- MODEL REQUESTS [MODEL REQUESTS]...
//
// OPS.so hold operations beside TensorFlow's own. REQUESTS is a folder with a folder for each signature; there `in`
// holds a serialized TensorProto for each input, called like the input, and `out` gets one for each output.

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "tensorflow/c/c_api.h"
#include "tensorflow/cc/saved_model/loader.h"

namespace fs = std::filesystem;

void Check(bool fine, const std::string& message) {
  if (fine) return;
  std::cerr << message << std::endl;
  std::exit(1);
}

tensorflow::Tensor Read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  tensorflow::TensorProto proto;
  tensorflow::Tensor tensor;
  Check(proto.ParseFromString(bytes) && tensor.FromProto(proto), "unreadable: " + path.string());
  return tensor;
}

void Write(const tensorflow::Tensor& tensor, const fs::path& path) {
  tensorflow::TensorProto proto;
  tensor.AsProtoField(&proto);
  std::ofstream(path, std::ios::binary) << proto.SerializeAsString();
}

void Ask(const tensorflow::SavedModelBundle& model, const fs::path& folder) {
  const std::string name = folder.filename().string();
  const auto found = model.GetSignatures().find(name);
  Check(found != model.GetSignatures().end(), "no signature " + name);
  std::vector<std::pair<std::string, tensorflow::Tensor>> inputs;
  for (const auto& [input, info] : found->second.inputs()) inputs.emplace_back(info.name(), Read(folder / "in" / input));
  std::vector<std::string> names, fetched;
  for (const auto& [output, info] : found->second.outputs()) {
    names.push_back(output);
    fetched.push_back(info.name());
  }
  std::vector<tensorflow::Tensor> outputs;
  const auto status = model.session->Run(inputs, fetched, {}, &outputs);
  Check(status.ok(), name + ": " + std::string(status.message()));
  for (size_t i = 0; i < names.size(); ++i) Write(outputs[i], folder / "out" / names[i]);
}

int main(int argc, char** argv) {
  int at = 1;
  for (; at < argc && std::string(argv[at]) != "--"; ++at) {
    TF_Status* status = TF_NewStatus();
    TF_LoadLibrary(argv[at], status);
    Check(TF_GetCode(status) == TF_OK, TF_Message(status));
    TF_DeleteStatus(status);
  }
  for (++at; at + 1 < argc; at += 2) {
    tensorflow::SavedModelBundle model;
    const auto status =
        tensorflow::LoadSavedModel(tensorflow::SessionOptions(), tensorflow::RunOptions(), argv[at], {"serve"}, &model);
    Check(status.ok(), argv[at] + std::string(": ") + std::string(status.message()));
    for (const auto& folder : fs::directory_iterator(argv[at + 1])) Ask(model, folder.path());
  }
}
