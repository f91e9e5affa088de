// Reader of the WAV files of a listening test: PCM of 16 and 24 bits and float of 32 bits, in blocks for each channel.
//
// decodeAudioData of the browsers is not used: one loses frames of 24-bit files with 6 and 12 channels, and others scale
// positive and negative samples of 16-bit files differently. Here a sample is its integer over 2^15 or 2^23, exactly.

const PCM = 1, FLOAT = 3, EXTENSIBLE = 0xfffe;

/** A file that is no WAV file of a kind that the test has. */
export class WavError extends Error {}

/**
 * Read a WAV file.
 *
 * @param {ArrayBuffer} buffer - the whole file
 * @returns {{sampleRate: number, frames: number, channels: Float32Array[]}} channels are parts of one ArrayBuffer
 * @throws {WavError} which says what is wrong and where
 */
export function parseWav(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 12 || text(view, 0) !== "RIFF" || text(view, 8) !== "WAVE") {
    throw new WavError("The file is no WAV file: it does not begin with RIFF and WAVE.");
  }
  let format = null;
  for (let at = 12; at + 8 <= buffer.byteLength; ) {
    const name = text(view, at), size = view.getUint32(at + 4, true), body = at + 8;
    if (body + size > buffer.byteLength) {
      throw new WavError(
        `The file ends early: its chunk "${name}" of ${size} bytes begins at byte ${body}, the file has ${buffer.byteLength}.`,
      );
    }
    if (name === "fmt ") format = readFormat(view, body, size);
    if (name === "data") {
      if (format === null) throw new WavError("The file's samples come before their format (chunk \"fmt \").");
      return readSamples(view, body, size, format);
    }
    at = body + size + (size % 2);  // chunks begin at even bytes
  }
  throw new WavError('The file has no samples: its chunk "data" is missing.');
}

function text(view, at) {
  return String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
}

function readFormat(view, at, size) {
  if (size < 16) throw new WavError(`The file's format (chunk "fmt ") has ${size} bytes; it needs 16 at least.`);
  let code = view.getUint16(at, true);
  const channels = view.getUint16(at + 2, true), sampleRate = view.getUint32(at + 4, true);
  const block = view.getUint16(at + 12, true), bits = view.getUint16(at + 14, true);
  if (code === EXTENSIBLE) {
    if (size < 40) throw new WavError(`The file's extensible format has ${size} bytes; it needs 40.`);
    const valid = view.getUint16(at + 18, true);
    if (valid !== bits) throw new WavError(`The file has ${valid} valid bits in words of ${bits}; both must be equal.`);
    code = view.getUint16(at + 24, true);  // the first two bytes of the sub-format's GUID
  }
  const known = (code === PCM && (bits === 16 || bits === 24)) || (code === FLOAT && bits === 32);
  if (!known) {
    throw new WavError(`The file has format ${code} with ${bits} bits; PCM of 16 or 24 and float of 32 bits can be played.`);
  }
  if (channels < 1 || sampleRate < 1) {
    throw new WavError(`The file states ${channels} channels at ${sampleRate} Hz.`);
  }
  if (block !== (channels * bits) / 8) {
    throw new WavError(`The file states ${block} bytes for a frame of ${channels} channels with ${bits} bits.`);
  }
  return { channels, sampleRate, bits, block };
}

function readSamples(view, at, size, { channels, sampleRate, bits, block }) {
  if (size === 0 || size % block !== 0) {
    throw new WavError(`The file has ${size} bytes of samples, which is no whole number of frames of ${block} bytes.`);
  }
  const frames = size / block, planar = new Float32Array(channels * frames), bytes = new Uint8Array(view.buffer);
  for (let channel = 0; channel < channels; channel++) {
    const first = channel * frames;
    let byte = at + (channel * bits) / 8;
    for (let frame = 0; frame < frames; frame++, byte += block) {
      if (bits === 16) planar[first + frame] = view.getInt16(byte, true) / 32768;
      else if (bits === 24) {
        planar[first + frame] = ((bytes[byte] << 8 | bytes[byte + 1] << 16 | bytes[byte + 2] << 24) >> 8) / 8388608;
      } else planar[first + frame] = view.getFloat32(byte, true);
    }
  }
  const bad = bits === 32 ? planar.findIndex((sample) => !Number.isFinite(sample)) : -1;
  if (bad >= 0) {
    throw new WavError(`The file has a sample that is no finite number: channel ${Math.floor(bad / frames) + 1}, frame ${bad % frames}.`);
  }
  return {
    sampleRate,
    frames,
    channels: Array.from({ length: channels }, (_, c) => planar.subarray(c * frames, (c + 1) * frames)),
  };
}
