// Pixels of an image as the model's input, number by number what neuroprompt.images and Pillow make of them.
//
// Pillow resizes rows and columns one after the other, with weights of 22 binary digits and a rounded 8-bit result in between
// (its Resample.c); all of that is done here in integers, so that the result is the same, not merely near.
"use strict";

const Pixels = (() => {
  const DIGITS = 22;

  const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
  // Each filter, and how far from its middle it reaches.
  const FILTERS = {
    box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
    bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
    hamming: [1, (x) => {
      if (x === 0) return 1;
      if (Math.abs(x) >= 1) return 0;
      const angle = Math.abs(x) * Math.PI;
      return (Math.sin(angle) / angle) * (Math.fround(0.54) + Math.fround(0.46) * Math.cos(angle));
    }],
    bicubic: [2, (x) => {
      const a = -0.5, y = Math.abs(x);
      if (y < 1) return ((a + 2) * y - (a + 3)) * y * y + 1;
      if (y < 2) return (((y - 5) * y + 8) * y - 4) * a;
      return 0;
    }],
    lanczos: [3, (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0)],
  };

  // For every place of the result: the first pixel that counts, and the weights from there on, as integers.
  function weights(size, from, to, result, [reach, filter]) {
    const scale = Math.fround(to - from) / result, wide = Math.max(scale, 1), support = reach * wide;
    return Array.from({ length: result }, (_, place) => {
      const middle = from + (place + 0.5) * scale;
      const first = Math.max(0, Math.trunc(middle - support + 0.5));
      const last = Math.min(size, Math.trunc(middle + support + 0.5));
      const parts = [];
      let sum = 0;
      for (let i = first; i < last; i++) {
        parts.push(filter((i - middle + 0.5) * (1 / wide)));
        sum += parts[parts.length - 1];
      }
      const whole = parts.map((part) => {
        const share = (sum === 0 ? part : part / sum) * 2 ** DIGITS;
        return Math.trunc(share < 0 ? share - 0.5 : share + 0.5);
      });
      return [first, whole];
    });
  }

  const clipped = (sum) => Math.min(255, Math.max(0, sum >> DIGITS));

  function across(image, from, to, width, filter) {
    const along = weights(image.width, from, to, width, filter), { height } = image;
    const data = new Uint8Array(width * height * 3);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [first, parts] = along[x];
        for (let c = 0; c < 3; c++) {
          let sum = 1 << (DIGITS - 1), at = (y * image.width + first) * 3 + c;
          for (let i = 0; i < parts.length; i++, at += 3) sum += image.data[at] * parts[i];
          data[(y * width + x) * 3 + c] = clipped(sum);
        }
      }
    }
    return { data, width, height };
  }

  function down(image, from, to, height, filter) {
    const along = weights(image.height, from, to, height, filter), { width } = image, row = width * 3;
    const data = new Uint8Array(row * height);
    for (let y = 0; y < height; y++) {
      const [first, parts] = along[y];
      for (let x = 0; x < row; x++) {
        let sum = 1 << (DIGITS - 1), at = first * row + x;
        for (let i = 0; i < parts.length; i++, at += row) sum += image.data[at] * parts[i];
        data[y * row + x] = clipped(sum);
      }
    }
    return { data, width, height };
  }

  // An RGB image {data, width, height}, the part [left, top, right, bottom] of it, at another size.
  function resized(image, width, height, interpolation, box = [0, 0, image.width, image.height]) {
    const whole = box.every((edge, i) => edge === [0, 0, image.width, image.height][i]);
    if (whole && width === image.width && height === image.height) return image;
    const [left, top, right, bottom] = box.map(Math.fround);
    if (interpolation === "nearest") return nearest(image, width, height, [left, top, right, bottom]);
    const filter = FILTERS[interpolation];
    const wide = (from) => width === image.width && left === 0 && right === width
      ? from : across(from, left, right, width, filter);
    const tall = (from) => height === image.height && top === 0 && bottom === height
      ? from : down(from, top, bottom, height, filter);
    // As Pillow 13 does it: columns first where that leaves out more. Earlier versions always begin with rows, and
    // differ from it by a level or two there.
    const columnsFirst = image.height > height && image.height - height > 2 * (image.width - width);
    return columnsFirst ? wide(tall(image)) : tall(wide(image));
  }

  function nearest(image, width, height, box) {
    const places = (from, to, size) => {
      const step = (to - from) / size, all = [];
      let at = from + step * 0.5;
      for (let i = 0; i < size; i++, at += step) all.push(Math.floor(at));
      return all;
    };
    const columns = places(box[0], box[2], width), rows = places(box[1], box[3], height);
    const data = new Uint8Array(width * height * 3);
    rows.forEach((y, j) => columns.forEach((x, i) => {
      for (let c = 0; c < 3; c++) data[(j * width + i) * 3 + c] = image.data[(y * image.width + x) * 3 + c];
    }));
    return { data, width, height };
  }

  // Python's round: halves go to the even number.
  function rounded(x) {
    const low = Math.floor(x);
    if (x - low !== 0.5) return Math.round(x);
    return low % 2 === 0 ? low : low + 1;
  }

  function covering({ width, height }, tall, wide) {
    if (tall !== wide) {
      const ratio = Math.min(height / tall, width / wide);
      return [rounded(height / ratio), rounded(width / ratio)];
    }
    if (width <= height) return [Math.trunc((tall * height) / width), tall];
    return [tall, Math.trunc((tall * width) / height)];
  }

  // What neuroprompt.images.pixels makes of an RGB image: resized, and the middle cut out.
  function fitted(image, { size, interpolation, crop_pct, crop_mode }, most = 50000000) {
    const [height, width] = size;
    let [tall, wide] = [height, width];
    if (crop_pct !== null) {
      [tall, wide] = [Math.floor(height / crop_pct), Math.floor(width / crop_pct)];
      if (crop_mode === "center") [tall, wide] = covering(image, tall, wide);
    }
    const top = rounded((tall - height) / 2), left = rounded((wide - width) / 2);
    if (tall * wide > most) {
      const x = image.width / wide, y = image.height / tall;
      return resized(image, width, height, interpolation,
        [left * x, top * y, (left + width) * x, (top + height) * y]);
    }
    const whole = resized(image, wide, tall, interpolation);
    const data = new Uint8Array(width * height * 3);  // 0 where the cut goes beyond the image
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [from, row] = [left + x, top + y];
        if (from < 0 || row < 0 || from >= wide || row >= tall) continue;
        for (let c = 0; c < 3; c++) data[(y * width + x) * 3 + c] = whole.data[(row * wide + from) * 3 + c];
      }
    }
    return { data, width, height };
  }

  // (x / 255 - mean) / std as (3, height, width) in 32-bit floats, in the middle of zeros where there is a canvas.
  function normalised(image, { mean, std, canvas, corner }) {
    const [tall, wide] = canvas, [left, top] = corner;
    const values = new Float32Array(3 * tall * wide), f = Math.fround;
    for (let c = 0; c < 3; c++) {
      const levels = Float32Array.from({ length: 256 }, (_, i) => f(f(f(i / 255) - f(mean[c])) / f(std[c])));
      for (let y = 0; y < image.height; y++) {
        for (let x = 0; x < image.width; x++) {
          values[(c * tall + top + y) * wide + left + x] = levels[image.data[(y * image.width + x) * 3 + c]];
        }
      }
    }
    return values;
  }

  // The pixels of an image file as RGB on white, turned as its EXIF says if `exif`; its colours are not converted.
  async function read(file, exif) {
    const options = { imageOrientation: exif ? "from-image" : "none", colorSpaceConversion: "none" };
    const bitmap = await createImageBitmap(file, options);
    const { width, height } = bitmap, canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    const four = context.getImageData(0, 0, width, height).data, data = new Uint8Array(width * height * 3);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) data[i * 3 + c] = four[i * 4 + c];
    }
    return { data, width, height };
  }

  return { resized, fitted, normalised, read };
})();
