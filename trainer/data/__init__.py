"""Built datasets as tf.data; nothing of Keras."""
