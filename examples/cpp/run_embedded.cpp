// Run an embedded pose file with ONNX Runtime's C++ API. No other library is needed.
//
//   hrnet-deploy export pose_hrnet_w16_demo_128x96 -o embedded.onnx --embed
//   c++ -std=c++17 -O2 -I ORT/include run_embedded.cpp -L ORT/lib -lonnxruntime -o run_embedded
//   ./run_embedded embedded.onnx person.ppm 20 10 120 200
//
// ORT is an unpacked release of ONNX Runtime. The image is a binary PPM (P6): most image programs write it. The four
// numbers are the person's box in pixels of the image: x, y, width, height. One line per keypoint is printed:
// its number, x and y in pixels of the image, and its score.
//
// The contract of an embedded pose file:
//
//   input   crops      uint8   (N, H, W, 3)  RGB pixels, as they are: the graph subtracts the mean and divides by itself
//   output  keypoints  float32 (N, K, 2)     x and y in pixels of the crop
//   output  scores     float32 (N, K)        height of each heatmap's peak
//
// N, H and W are fixed, and this program reads them from the file. What is left to the program is the crop:
//
//   1. Grow the shorter side of the box until width / height = W / H, around the same centre (cx, cy).
//   2. Enlarge both sides by PADDING (box_padding of the model card, 1.25 for COCO).
//   3. With zoom = W / width, the crop's pixel (u, v) is the image at ((u - W / 2) / zoom + cx, (v - H / 2) / zoom + cy),
//      interpolated bilinearly, and black outside of the image.
//   4. The same formula brings keypoints back to the image.

#include <onnxruntime_cxx_api.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr double PADDING = 1.25;

struct Image {
  int width = 0, height = 0;
  std::vector<std::uint8_t> pixels;  // height x width x 3, RGB

  // A channel of a pixel; black outside of the image.
  double at(int x, int y, int channel) const {
    if (x < 0 || y < 0 || x >= width || y >= height) return 0.0;
    return pixels[(static_cast<std::size_t>(y) * width + x) * 3 + channel];
  }
};

// The part of the image that the network sees. Maps between pixels of the crop and pixels of the image.
struct Crop {
  double cx, cy, zoom;
  int width, height;

  double to_image_x(double u) const { return (u - width / 2.0) / zoom + cx; }
  double to_image_y(double v) const { return (v - height / 2.0) / zoom + cy; }
};

Image read_ppm(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  int largest = 0;
  Image image;
  file >> magic >> image.width >> image.height >> largest;
  file.get();  // the one white space before the pixels
  if (!file || magic != "P6" || largest != 255 || image.width < 1 || image.height < 1)
    throw std::runtime_error(path + " is not a binary PPM with 8 bits (and without comments)");
  image.pixels.resize(static_cast<std::size_t>(image.width) * image.height * 3);
  file.read(reinterpret_cast<char*>(image.pixels.data()), static_cast<std::streamsize>(image.pixels.size()));
  if (!file) throw std::runtime_error(path + " is truncated");
  return image;
}

Crop crop_of_box(double x, double y, double w, double h, int width, int height) {
  const double cx = x + w / 2, cy = y + h / 2, aspect = static_cast<double>(width) / height;
  if (w < aspect * h) w = h * aspect;  // where w is larger, only the height grows, and the zoom follows from the width
  return {cx, cy, width / (w * PADDING), width, height};
}

std::vector<std::uint8_t> cut(const Image& image, const Crop& crop) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(crop.width) * crop.height * 3);
  std::size_t next = 0;
  for (int v = 0; v < crop.height; ++v) {
    for (int u = 0; u < crop.width; ++u) {
      const double x = crop.to_image_x(u), y = crop.to_image_y(v);
      const int left = static_cast<int>(std::floor(x)), top = static_cast<int>(std::floor(y));
      const double right_share = x - left, bottom_share = y - top;
      for (int c = 0; c < 3; ++c) {
        const double above = image.at(left, top, c) * (1 - right_share) + image.at(left + 1, top, c) * right_share;
        const double below = image.at(left, top + 1, c) * (1 - right_share) + image.at(left + 1, top + 1, c) * right_share;
        pixels[next++] = static_cast<std::uint8_t>(std::lround(above * (1 - bottom_share) + below * bottom_share));
      }
    }
  }
  return pixels;
}

void run(const std::string& model, const std::string& picture, double x, double y, double w, double h) {
  Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "run_embedded");
  Ort::SessionOptions options;
  Ort::Session session(env, model.c_str(), options);

  const std::vector<std::int64_t> shape = session.GetInputTypeInfo(0).GetTensorTypeAndShapeInfo().GetShape();
  if (shape.size() != 4 || shape[0] != 1 || shape[3] != 3)
    throw std::runtime_error("the file does not take one crop of (1, H, W, 3): export it with --embed and batch 1");
  const int height = static_cast<int>(shape[1]), width = static_cast<int>(shape[2]);

  const Crop crop = crop_of_box(x, y, w, h, width, height);
  std::vector<std::uint8_t> pixels = cut(read_ppm(picture), crop);

  const Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const Ort::Value input =
      Ort::Value::CreateTensor<std::uint8_t>(memory, pixels.data(), pixels.size(), shape.data(), shape.size());
  const std::array<const char*, 1> inputs = {"crops"};
  const std::array<const char*, 2> outputs = {"keypoints", "scores"};
  std::vector<Ort::Value> found =
      session.Run(Ort::RunOptions{nullptr}, inputs.data(), &input, inputs.size(), outputs.data(), outputs.size());

  const std::vector<std::int64_t> points_shape = found[0].GetTensorTypeAndShapeInfo().GetShape();
  const float* points = found[0].GetTensorData<float>();
  const float* scores = found[1].GetTensorData<float>();
  for (std::int64_t k = 0; k < points_shape[1]; ++k)
    std::printf("%d %.2f %.2f %.4f\n", static_cast<int>(k), crop.to_image_x(points[2 * k]),
                crop.to_image_y(points[2 * k + 1]), static_cast<double>(scores[k]));
}

}  // namespace

int main(int count, char** words) {
  if (count != 7) {
    std::fprintf(stderr, "usage: run_embedded MODEL.onnx IMAGE.ppm X Y WIDTH HEIGHT\n");
    return 2;
  }
  try {
    run(words[1], words[2], std::atof(words[3]), std::atof(words[4]), std::atof(words[5]), std::atof(words[6]));
  } catch (const std::exception& error) {  // Ort::Exception is one
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  }
  return 0;
}
