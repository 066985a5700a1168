// For `import`: the very same module that `require` gives, so that a class is one class however it was got.
export * from '../dist/cjs/index.js';
