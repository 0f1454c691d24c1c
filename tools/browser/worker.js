// Enlarges one photograph tile by tile, off the page's own thread, and writes a PNG as it goes.
// Message in: {file, scale, margin}. Messages out: {done} from 0 to 1, then {png, width, height}, or
// {error}, a sentence.
importScripts("ort.wasm.min.js");

const TILE = 192; // LR pixels, with the context that a network sees around them

onmessage = async ({ data: { file, scale, margin } }) => {
  try {
    postMessage(await enlarge(file, scale, margin));
  } catch (error) {
    postMessage({ error: error instanceof RangeError ? "This photograph is larger than the memory that your browser gives to a page." : error.message });
  }
};

async function enlarge(file, scale, margin) {
  const { pixels, width, height } = await decode(file);
  const colours = (await isGrey(file)) ? 1 : 3;
  const alpha = seesThrough(pixels);
  if (alpha) fillHidden(pixels, width, height);
  const parts = [{ run: await network(colours === 1 ? "grey" : "colour", scale), from: 0, channels: colours }];
  if (alpha) parts.push({ run: await network("bicubic", scale), from: 3, channels: 1 });
  const channels = colours + Number(alpha);
  const png = new PNG(width * scale, height * scale, channels);
  const inner = TILE - 2 * margin;
  for (let top = 0; top < height; top += inner) {
    const bottom = Math.min(height, top + inner);
    const band = new Uint8Array((bottom - top) * width * scale * scale * channels);
    for (let left = 0; left < width; left += inner) {
      const right = Math.min(width, left + inner);
      // Where the image ends the networks mirror it themselves.
      const [y0, y1] = [Math.max(0, top - margin), Math.min(height, bottom + margin)];
      const [x0, x1] = [Math.max(0, left - margin), Math.min(width, right + margin)];
      let to = 0;
      for (const { run, from, channels: taken } of parts) {
        const seen = new Float32Array((y1 - y0) * (x1 - x0) * taken);
        for (let y = y0, i = 0; y < y1; y++)
          for (let x = x0; x < x1; x++)
            for (let c = 0; c < taken; c++) seen[i++] = pixels[4 * (y * width + x) + from + c] / 255;
        const made = await run(seen, [1, y1 - y0, x1 - x0, taken]);
        for (let y = 0; y < (bottom - top) * scale; y++)
          for (let x = 0; x < (right - left) * scale; x++) {
            const source = ((y + (top - y0) * scale) * (x1 - x0) * scale + x + (left - x0) * scale) * taken;
            const target = (y * width * scale + x + left * scale) * channels + to;
            for (let c = 0; c < taken; c++) band[target + c] = Math.round(255 * made[source + c]);
          }
        to += taken;
      }
      postMessage({ done: (top + ((bottom - top) * right) / width) / height });
    }
    await png.write(band);
  }
  return { png: await png.finish(), width: width * scale, height: height * scale };
}

async function network(name, scale) {
  const session = await ort.InferenceSession.create(`${name}-x${scale}.onnx`);
  return async (values, shape) => {
    const results = await session.run({ [session.inputNames[0]]: new ort.Tensor("float32", values, shape) });
    return results[session.outputNames[0]].data;
  };
}

// Pixels as the browser shows them: upright, in sRGB, four bytes each. A canvas keeps colours times
// alpha in 8 bits: what is nearly transparent loses some of its colour.
async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { premultiplyAlpha: "none" });
  } catch {
    throw new Error(`${file.name} is no image that this browser can read: take a PNG, JPEG or WebP file.`);
  }
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  if (!context) throw new RangeError();
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  let pixels;
  try {
    pixels = context.getImageData(0, 0, width, height).data;
  } catch {
    throw new RangeError();
  }
  return { pixels, width, height };
}

function seesThrough(pixels) {
  for (let i = 3; i < pixels.length; i += 4) if (pixels[i] < 255) return true;
  return false;
}

// A file that holds grey values alone is its own luma, as in Python.
async function isGrey(file) {
  const bytes = new DataView(await file.slice(0, 1 << 20).arrayBuffer());
  if (bytes.getUint32(0) === 0x89504e47) return [0, 4].includes(bytes.getUint8(25)); // PNG: colour type
  if (bytes.getUint16(0) !== 0xffd8) return false;
  for (let at = 2; at + 9 < bytes.byteLength; at += 2 + bytes.getUint16(at + 2)) {
    const marker = bytes.getUint8(at + 1); // JPEG: components of the frame
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return bytes.getUint8(at + 9) === 1;
  }
  return false;
}

// Gives pixels of alpha 0 the colour of a visible one nearby, or edges would show what they hide.
function fillHidden(pixels, width, height) {
  const filled = Uint8Array.from({ length: width * height }, (_, i) => pixels[4 * i + 3] > 0);
  let edge = [];
  filled.forEach((seen, i) => seen && edge.push(i));
  while (edge.length) {
    const next = [];
    for (const i of edge) {
      const [x, y] = [i % width, Math.floor(i / width)];
      for (const [u, v] of [[x - 1, y], [x + 1, y], [x, y - 1], [x, y + 1]]) {
        const j = v * width + u;
        if (u < 0 || v < 0 || u >= width || v >= height || filled[j]) continue;
        filled[j] = 1;
        pixels.copyWithin(4 * j, 4 * i, 4 * i + 3);
        next.push(j);
      }
    }
    edge = next;
  }
}

// A PNG file that is compressed while it grows: no canvas, whose size phones limit, and no second
// copy of the pixels. Rows are stored as differences from the pixel to the left (filter 1).
class PNG {
  static crcs = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });

  constructor(width, height, channels) {
    const header = new DataView(new ArrayBuffer(13));
    header.setUint32(0, width);
    header.setUint32(4, height);
    header.setUint8(8, 8); // bits
    header.setUint8(9, { 1: 0, 2: 4, 3: 2, 4: 6 }[channels]); // colour type
    this.parts = [Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10)];
    this.chunk("IHDR", new Uint8Array(header.buffer));
    this.chunk("sRGB", Uint8Array.of(0));
    Object.assign(this, { width, channels });
    const deflate = new CompressionStream("deflate");
    this.writer = deflate.writable.getWriter();
    this.read = (async () => {
      for (const reader = deflate.readable.getReader(); ; ) {
        const { done, value } = await reader.read();
        if (done) return;
        this.chunk("IDAT", value);
      }
    })();
  }

  write(rows) {
    const { width, channels } = this;
    const length = width * channels;
    const filtered = new Uint8Array((rows.length / length) * (length + 1));
    for (let from = 0, to = 0; from < rows.length; from += length) {
      filtered[to++] = 1;
      for (let i = 0; i < length; i++) filtered[to++] = rows[from + i] - (i < channels ? 0 : rows[from + i - channels]);
    }
    return this.writer.write(filtered);
  }

  async finish() {
    await this.writer.close();
    await this.read;
    this.chunk("IEND", new Uint8Array(0));
    return new Blob(this.parts, { type: "image/png" });
  }

  chunk(name, data) {
    const bytes = new Uint8Array(12 + data.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, data.length);
    for (let i = 0; i < 4; i++) bytes[4 + i] = name.charCodeAt(i);
    bytes.set(data, 8);
    let crc = ~0;
    for (let i = 4; i < bytes.length - 4; i++) crc = PNG.crcs[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
    view.setUint32(bytes.length - 4, ~crc);
    this.parts.push(new Blob([bytes])); // a blob may wait on disk
  }
}
