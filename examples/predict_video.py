"""Predict on a video: `python examples/predict_video.py pose.onnx clip.mp4 -o drawn.mp4`.

Each frame is taken as one box. For boxes from a detector, pass them as `predictor(frame, boxes=[...])`. PyTorch is not
needed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from hrnet_deploy import Predictor


def predict_video(model: Path, video: Path, output: Path) -> int:
    """Draw the predictions of a model on every frame of a video.

    Args:
        model: an ONNX file that `hrnet-deploy export` or `quantize` wrote.
        video: any file that OpenCV can decode.
        output: the video to write, .mp4.

    Returns:
        The number of frames.
    """
    predictor = Predictor(model)
    reader = cv2.VideoCapture(str(video))
    if not reader.isOpened():
        raise SystemExit(f"{video} cannot be read as a video — convert it to MP4 (H.264)")
    rate = reader.get(cv2.CAP_PROP_FPS) or 25.0
    writer: cv2.VideoWriter | None = None
    count = 0
    while True:
        found, frame = reader.read()  # (H, W, 3) uint8, BGR
        if not found:
            break
        image = np.ascontiguousarray(frame[..., ::-1], np.uint8)  # the predictor takes RGB
        drawn = predictor.draw(image, predictor(image))[..., ::-1]
        if writer is None:
            height, width = drawn.shape[:2]
            writer = cv2.VideoWriter(str(output), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
        writer.write(drawn.copy())
        count += 1
    reader.release()
    if writer is not None:
        writer.release()
    return count


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    print(f"{predict_video(arguments.model, arguments.video, arguments.output)} frames in {arguments.output}")
