"""What the authors published: results, counts, model files, Drive folders."""
