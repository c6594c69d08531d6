// What is looked for: the promise that nobody awaited, the case that nobody wrote, the any that came
// in from outside. Form is biome's (scripts/format); the tree's own rules are test/tidy.test.ts.

import tseslint from 'typescript-eslint'

export default tseslint.config(
  { ignores: ['dist/', 'native/build/', 'native/prebuilds/', '.tap/', '**/node_modules/'] },
  {
    files: ['src/**/*.ts', 'test/**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { project: './tsconfig.test.json', tsconfigRootDir: import.meta.dirname },
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      // A new kind of record or verdict must be looked at wherever kinds are told apart, except
      // where a default says that all the others are alike.
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      // `void promise` is how a floating promise says that it means to float.
      '@typescript-eslint/no-meaningless-void-operator': ['error', { checkNever: false }],
      // `() => list.push(x)` as a callback of type () => void is what arrow functions are for.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // Numbers in messages are everywhere and safe; what must not slip in are objects and undefined.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // Same word for a thing and its type: `import { type X }`, so that the emit drops it.
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      eqeqeq: 'error',
      // One way to say a thing to people: src/cli. A daemon logs, a library returns.
      'no-console': 'error',
    },
  },
  {
    files: ['src/cli/**/*.ts'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // tap's t.test() returns a promise that tap itself waits for.
      '@typescript-eslint/no-floating-promises': 'off',
      // A test may be async because its neighbours are; t.test takes both.
      '@typescript-eslint/require-await': 'off',
      // After t.ok(x) or t.equal(a.length, 1) the test knows what the compiler cannot.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // What goes wrong in a test's template is seen in its title.
      '@typescript-eslint/restrict-template-expressions': 'off',
    },
  },
)
