// A style sheet is a file of its own, since the pages' policy allows no other;
// what is imported is where it lies beside the scripts.
declare module "*.css" {
  const path: string;
  export default path;
}
